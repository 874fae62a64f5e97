"""The age, the use and the sharing of a DKIM key: from history, reports and other domains.

The history is in the facts of the check's last definite result, which each result carries on to the
next; the keys of other domains come with the subject (decision 0023).
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from app.checks.engine.types import (
    MAX_OBSERVED_SELECTORS,
    Finding,
    FindingType,
    Fix,
    Severity,
    Subject,
)
from app.protocols import public_suffix, timestamps
from app.protocols.dkim import Key

KEY_OLD = FindingType(
    code="dkim.key_old",
    severity=Severity.LOW,
    summary="DKIM key has not changed for more than a year",
    observed="The key at {subject} has been the same since {since:day}, for {days} days.",
    why="The longer a key is in use, the more likely it has leaked, and its holder can sign as "
    "the domain.",
    remediation="Create a key under a new selector, then withdraw the old one.",
    note="Counted from the first scan that saw the key.",
    reference="RFC 5863 §3.5",
)
SHARED = FindingType(
    code="dkim.key_shared_across_domains",
    severity=Severity.LOW,
    summary="DKIM key is shared with another domain, so its holder can sign for both",
    observed="The key at {subject} is also the key of {domains}.",
    why="If the key leaks at one domain, mail can be signed as all of them.",
    remediation="Create a separate key for each domain.",
    note="The finding names the other domains of the account; info where the selector is an "
    "alias to a provider's key.",
    reference="RFC 5863 §3.1",
)
STALE = FindingType(
    code="dkim.selector_stale",
    severity=Severity.LOW,
    summary="DKIM key is still published but no longer signs mail",
    observed="DMARC reports used to show signatures with the key at {subject}. They have not for "
    "60 days.",
    why="A key that is not in use can still sign as the domain if it has leaked.",
    remediation="Revoke the key with an empty `p=`.",
    note="Reports showed the selector before, and for 60 days only others.",
    reference="RFC 5863 §3.5",
)
UNUSED = FindingType(
    code="dkim.selector_unused",
    severity=Severity.INFO,
    summary="DKIM: no report shows mail signed with this selector",
    observed="The record at {subject} has a key. The DMARC reports of the last 60 days show other "
    "selectors only.",
    why="A key that is not in use can still sign as the domain if it has leaked.",
    remediation="No action is needed, or remove the key if no service signs with it.",
    note="For 60 days reports have shown other selectors only.",
    reference="RFC 5863 §3.5",
)
FINDING_TYPES = (KEY_OLD, SHARED, STALE, UNUSED)

MAX_KEY_AGE = timedelta(days=365)
MAX_DOMAINS = 10  # in one finding


@dataclass(frozen=True)
class KeyHygiene:
    """The history of one subject's keys, and the same keys at other domains."""

    subject: Subject

    def facts(self, name: str, at: str, key: Key) -> dict[str, Any]:
        """The facts about the key that the next scan needs.

        name  of the selector, as in the facts of the check
        at    the name of the record
        """
        before = self._before(name)
        facts: dict[str, Any] = {"key_sha256": key.digest}
        if self.subject.now is not None:
            is_same = before.get("key_sha256") == key.digest
            since = before.get("since") if is_same else None
            facts["since"] = since or timestamps.text(self.subject.now)
        if at.lower() in self._reported or before.get("seen_in_reports"):
            facts["seen_in_reports"] = True
        return facts

    def findings(
        self, at: str, text: str, facts: Mapping[str, Any], *, is_alias: bool
    ) -> Iterator[Finding]:
        """Findings about a key with these facts.

        is_alias  the record, and so the key, belongs to a service
        """
        yield from self._of_age(at, facts.get("since"))
        yield from self._of_use(at, text, facts, is_alias=is_alias)
        others = self.subject.shared_keys.get(facts["key_sha256"], ())
        own = public_suffix.registrable(self.subject.domain)
        if unrelated := [name for name in others if public_suffix.registrable(name) != own]:
            severity = (
                Severity.INFO if is_alias else None
            )  # the key of a service that uses it for all customers
            yield SHARED.at(at, severity=severity, domains=unrelated[:MAX_DOMAINS])

    @cached_property
    def _reported(self) -> frozenset[str]:
        return frozenset(
            f"{selector}._domainkey.{domain}".lower()
            for selector, domain in self.subject.observed_selectors
        )

    def _before(self, name: str) -> Mapping[str, Any]:
        previous = self.subject.last_facts.get("dkim", {}).get("selectors", {}).get(name)
        return previous if isinstance(previous, Mapping) else {}

    def _of_age(self, at: str, since: str | None) -> Iterator[Finding]:
        if since is None or self.subject.now is None:
            return
        with suppress(ValueError):  # facts that are too long are truncated
            age = self.subject.now - datetime.fromisoformat(since)
            if age > MAX_KEY_AGE:
                yield KEY_OLD.at(at, since=since, days=age.days)

    def _of_use(
        self, at: str, text: str, facts: Mapping[str, Any], *, is_alias: bool
    ) -> Iterator[Finding]:
        """Findings about use; only if reports contain other selectors and the list is complete."""
        if at.lower() in self._reported or not 0 < len(self._reported) < MAX_OBSERVED_SELECTORS:
            return
        if not facts.get("seen_in_reports"):
            yield UNUSED.at(at)
            return
        why = "Revoke the key with an empty p: until then, its old holder can still sign."
        fix = Fix.replace_txt(at, [text], after="v=DKIM1; p=", why=why)
        yield STALE.at(at, fix=None if is_alias else fix)
