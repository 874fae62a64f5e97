"""Changes in DNS that deserve an alert, and how a change is told from noise.

A change is between two definite answers about a name of the domain itself. What its providers
change below their own names is theirs; addresses come and go and are not watched here.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.checks.engine.evidence import Record
from app.checks.engine.types import CheckResult, Severity
from app.protocols import dmarc, names, timestamps
from app.protocols.dmarc import Policy, discovery
from app.rules.engine.types import AlertDraft, Change, Posture, Rule

CHANGE_WINDOW = timedelta(days=7)  # an alert of a change stands that long, or until it is undone

_WATCHED = frozenset(("TXT", "MX", "NS", "CNAME", "CAA", "TLSA", "DS", "HTTPS"))
_KIND = {"dns": "ns"}  # how a record kind is called where the check is not it
_OF_TYPE = {"TLSA": "tlsa"}  # whichever check asked first
KINDS = (
    *("spf", "dkim", "dmarc", "mx", "mta_sts", "tls_rpt", "bimi", "ns", "tlsa", "caa", "dnssec"),
)
_CRITICAL_RECORDS = frozenset(("spf", "dkim", "dmarc", "mx", "ns"))

REMOVED, CHANGED = "dns.record_removed", "dns.record_changed"
_OWNER_CHECK = {
    "p": "the domain's mail",
    "sp": "mail of its sub-domains",
    "np": "mail of sub-domains that do not exist",
}
WEAKENED, STRENGTHENED = "dmarc.policy_weakened", "dmarc.policy_strengthened"


def between(
    domain: str,
    known: Mapping[str, Mapping[str, Any]],
    judgements: Iterable[CheckResult],
    at: datetime,
) -> list[Change]:
    """What is different from what was known, each record set once.

    known  by check: its last definite judgement as JSON
    """
    changes: dict[tuple[str, str], Change] = {}
    for judgement in judgements:
        before = known.get(judgement.check)
        if before is None or not judgement.definite:
            continue
        if _is_alike(before["records"], judgement.records):
            continue  # as nearly always; what follows takes ten times as long
        old = dict(_sets(domain, judgement.check, map(_from_json, before["records"])))
        new = dict(_sets(domain, judgement.check, judgement.records))
        for key in old.keys() & new.keys():
            if old[key] != new[key]:
                change = changes.get(key) or Change(judgement.check, *key, old[key], new[key], at)
                changes[key] = _with_findings(change, before, judgement)
    return list(changes.values())


def _with_findings(change: Change, before: Mapping[str, Any], judgement: CheckResult) -> Change:
    """The change, with what came and went of one check that rests on the record."""
    if before["logicVersion"] != judgement.logic_version:
        return change  # our rules may have changed instead
    old = {(found["code"], found["subject"]) for found in before["findings"]}
    new = {(found.kind.code, found.subject) for found in judgement.findings}
    return replace(
        change,
        findings_appeared=tuple(
            sorted({*change.findings_appeared, *(code for code, _ in new - old)})
        ),
        findings_resolved=tuple(
            sorted({*change.findings_resolved, *(code for code, _ in old - new)})
        ),
    )


def _is_alike(before: Sequence[Mapping[str, Any]], records: Sequence[Record]) -> bool:
    """The same was asked and heard in the same order, but for its TTL."""
    return len(before) == len(records) and all(
        old["values"] == list(new.values)
        and (old["name"], old["type"], old["rcode"]) == (new.name, new.type, new.rcode)
        for old, new in zip(before, records, strict=True)
    )


def _from_json(record: Mapping[str, Any]) -> Record:
    return Record(
        record["name"], record["type"], record["rcode"], record["ttl"], tuple(record["values"])
    )


def _sets(
    domain: str, check: str, records: Iterable[Record]
) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    for record in records:
        host = record.name.removeprefix("https://").partition("/")[0]
        is_own = host == domain or names.is_below(host, domain)
        if is_own and record.type in _WATCHED and _is_definite(record):
            values = record.values
            if record.type == "TXT" and host == domain:  # many others keep records there
                values = tuple(text for text in values if _matches(check, text))
            yield (record.name, record.type), tuple(sorted(values))


def _is_definite(record: Record) -> bool:
    return record.rcode in ("NOERROR", "NXDOMAIN", "200", "404")


def _matches(check: str, text: str) -> bool:
    return check == "spf" and "spf" in text[:40].lower()


def _latest(changes: Sequence[Change]) -> list[Change]:
    """The last change of each record set."""
    return list({(change.name, change.type): change for change in changes}.values())


def _record_alerts(posture: Posture) -> Iterator[AlertDraft]:
    for change in _latest(posture.changes):
        kind = _OF_TYPE.get(change.type) or _KIND.get(change.check, change.check)
        if kind not in KINDS or (kind == "mta_sts" and change.type == "HTTPS"):
            continue  # a policy's change has a type of its own
        evidence = {
            "before": list(change.before),
            "after": list(change.after),
            "changedAt": timestamps.text(change.at),
            "opened": list(change.findings_appeared),
            "closed": list(change.findings_resolved),
        }
        what = f"{kind.upper().replace('_', '-')} record at {change.name}"
        if change.before and not change.after:
            severity = Severity.CRITICAL if kind in _CRITICAL_RECORDS else Severity.HIGH
            yield AlertDraft(REMOVED, f"{change.name} {change.type}", severity,
                        "A record was removed from DNS",
                        f"{posture.domain}: the {what} is gone.", evidence)  # fmt: skip
        else:
            is_new = not change.before
            yield AlertDraft(f"{CHANGED}.{kind}", f"{change.name} {change.type}",
                        Severity.INFO if is_new else Severity.MEDIUM,
                        "A record was published in DNS" if is_new else "A record changed in DNS",
                        f"{posture.domain}: the {what} {'is new' if is_new else 'changed'}.",
                        evidence)  # fmt: skip


def _policy_alerts(posture: Posture) -> Iterator[AlertDraft]:
    for change in _latest(posture.changes):
        if change.check != "dmarc" or change.type != "TXT" or not change.after:
            continue
        if change.name != f"_dmarc.{posture.domain}":
            continue
        before, after = _policies(change.before), _policies(change.after)
        moved = {whose: (before[whose], after[whose]) for whose in before
                 if before[whose] != after[whose]}  # fmt: skip
        if any(old is not None for old in before.values()) and moved:
            yield _of_moved(posture.domain, change, moved)


def _of_moved(
    domain: str, change: Change, moved: Mapping[str, tuple[Policy | None, Policy | None]]
) -> AlertDraft:
    """One draft for all: it was weakened if it is weaker for anybody's mail."""
    weaker = {
        whose: ends for whose, ends in moved.items() if _strength(ends[1]) < _strength(ends[0])
    }
    whose, (before, after) = next(iter((weaker or moved).items()))
    evidence = {
        "before": before,
        "after": after,
        "policies": {tag: {"before": old, "after": new} for tag, (old, new) in moved.items()},
        "changedAt": timestamps.text(change.at),
    }
    return AlertDraft(
        WEAKENED if weaker else STRENGTHENED,
        change.name,
        Severity.CRITICAL if weaker else Severity.INFO,
        f"The DMARC policy was {'weakened' if weaker else 'strengthened'}",
        f"{domain}: the policy for {_OWNER_CHECK[whose]} went from {before or 'nothing usable'} to "
        f"{after or 'nothing usable'}.",
        evidence,
        reference="RFC 9989 §4.7",
    )


def _policies(texts: Iterable[str]) -> dict[str, Policy | None]:
    """What is in effect, by whose mail it is for; after ``t=y``."""
    record = dmarc.sole_record(texts)
    if record is None:
        return dict.fromkeys(_OWNER_CHECK)
    return {
        "p": discovery.policy_of(record)[0],
        "sp": discovery.policy_of(record, is_own=False)[0],
        "np": discovery.policy_of(record, is_own=False, exists=False)[0],
    }


def _strength(policy: Policy | None) -> int:
    return -1 if policy is None else policy.strength


RULES = (
    Rule(frozenset((REMOVED, *(f"{CHANGED}.{kind}" for kind in KINDS))), _record_alerts),
    Rule(frozenset((WEAKENED, STRENGTHENED)), _policy_alerts),
)
