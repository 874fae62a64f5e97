"""What time, reports and the account's other domains tell of a DKIM key.

What was before stands in the facts of the check's last definite judgement, and is handed on from
one to the next; what others have is handed over with the subject (decision 0023).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from app.checks.contract import MAX_SEEN_SELECTORS, Finding, Fix, Kind, Severity, Subject
from app.protocols import public_suffix, timestamps
from app.protocols.dkim import Key

KEY_OLD = Kind(
    "dkim.key_old", Severity.LOW, "DKIM key has not changed for more than a year", "RFC 5863 §3.5"
)
SHARED = Kind(
    "dkim.key_shared_across_domains",
    Severity.LOW,
    "DKIM key is shared with another domain, so its holder can sign for both",
    "RFC 5863 §3.1",
)
STALE = Kind(
    "dkim.selector_stale",
    Severity.LOW,
    "DKIM key is still published but no longer signs mail",
    "RFC 5863 §3.5",
)
UNUSED = Kind(
    "dkim.selector_unused",
    Severity.INFO,
    "DKIM: no report shows mail signed with this selector",
    "RFC 5863 §3.5",
)
KINDS = (KEY_OLD, SHARED, STALE, UNUSED)

LIFE = timedelta(days=365)
MAX_DOMAINS = 10  # that are named


@dataclass(frozen=True)
class Lives:
    """The keys of one subject, as they were and as they are elsewhere."""

    subject: Subject

    def facts(self, name: str, at: str, key: Key) -> dict[str, Any]:
        """What is to be known of the key the next time.

        name  of the selector, as in the check's facts
        at    where the record is
        """
        before = self._before(name)
        found: dict[str, Any] = {"key_sha256": key.digest}
        if self.subject.now is not None:
            is_same = before.get("key_sha256") == key.digest
            since = before.get("since") if is_same else None
            found["since"] = since or timestamps.text(self.subject.now)
        if at.lower() in self._reported or before.get("seen_in_reports"):
            found["seen_in_reports"] = True
        return found

    def findings(
        self, at: str, text: str, facts: Mapping[str, Any], *, is_alias: bool
    ) -> Iterator[Finding]:
        """What is to be said of a key with these facts.

        is_alias  the record is somebody else's, and so is the key
        """
        yield from self._of_age(at, facts.get("since"))
        yield from self._of_use(at, text, facts, is_alias=is_alias)
        others = self.subject.shared_keys.get(facts["key_sha256"], ())
        own = public_suffix.registrable(self.subject.domain)
        if strangers := [name for name in others if public_suffix.registrable(name) != own]:
            severity = Severity.INFO if is_alias else None  # of a service, which keeps it for all
            yield SHARED.at(at, severity=severity, domains=strangers[:MAX_DOMAINS])

    @cached_property
    def _reported(self) -> frozenset[str]:
        return frozenset(
            f"{selector}._domainkey.{domain}".lower()
            for selector, domain in self.subject.seen_selectors
        )

    def _before(self, name: str) -> Mapping[str, Any]:
        known = self.subject.known.get("dkim", {}).get("selectors", {}).get(name)
        return known if isinstance(known, Mapping) else {}

    def _of_age(self, at: str, since: str | None) -> Iterator[Finding]:
        if since is None or self.subject.now is None:
            return
        with suppress(ValueError):  # facts that were too long are cut
            age = self.subject.now - datetime.fromisoformat(since)
            if age > LIFE:
                yield KEY_OLD.at(at, since=since, days=age.days)

    def _of_use(
        self, at: str, text: str, facts: Mapping[str, Any], *, is_alias: bool
    ) -> Iterator[Finding]:
        """Only where reports tell of other selectors, and of all of them."""
        if at.lower() in self._reported or not 0 < len(self._reported) < MAX_SEEN_SELECTORS:
            return
        if not facts.get("seen_in_reports"):
            yield UNUSED.at(at)
            return
        why = "Whoever has the old private key could still sign; an empty p withdraws it."
        back = f"Publish the old record again: {text}"
        fix = Fix("replace", at, "TXT", text, "v=DKIM1; p=", back, why)
        yield STALE.at(at, fix=None if is_alias else fix)
