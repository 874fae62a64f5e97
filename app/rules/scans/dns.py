"""Alerts on changes of DNS records, and the detection of changes.

A change is a difference between two definite answers for a name of the domain itself. Records
below the names of its providers are not compared, and neither are addresses, which change often.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from app.analysis.policy import proposals
from app.checks.engine.evidence import Record
from app.checks.engine.types import CheckResult, Fix, Severity
from app.protocols import dmarc, names, timestamps
from app.protocols.dmarc import Policy, discovery
from app.protocols.json_values import JsonObject
from app.rules.engine.types import AlertDraft, Change, Posture, Rule

CHANGE_WINDOW = timedelta(days=7)  # an alert stays open that long, or until the change is reverted

_WATCHED = frozenset(("TXT", "MX", "NS", "CNAME", "CAA", "TLSA", "DS", "HTTPS"))
_KIND = {"dns": "ns"}  # the kind of record where it is not the name of the check
_OF_TYPE = {"TLSA": "tlsa"}  # whichever check queried it first
KINDS = (
    *("spf", "dkim", "dmarc", "mx", "mta_sts", "tls_rpt", "bimi", "ns", "tlsa", "caa", "dnssec"),
)
_CRITICAL_RECORDS = frozenset(("spf", "dkim", "dmarc", "mx", "ns"))

REMOVED, CHANGED = "dns.record_removed", "dns.record_changed"
_OWNER_CHECK = {
    "p": "the domain's email",
    "sp": "email from its subdomains",
    "np": "email from subdomains that do not exist",
}
WEAKENED, STRENGTHENED = "dmarc.policy_weakened", "dmarc.policy_strengthened"


def between(
    domain: str,
    last_results: Mapping[str, Mapping[str, Any]],
    results: Iterable[CheckResult],
    at: datetime,
) -> list[Change]:
    """The record sets that changed since the last definite results, each once.

    last_results  the last definite result as JSON, by check
    """
    changes: dict[tuple[str, str], Change] = {}
    for result in results:
        before = last_results.get(result.check)
        if before is None or not result.definite:
            continue
        if _is_alike(before["records"], result.records):
            continue  # the usual case; the comparison below takes ten times as long
        old = dict(_sets(domain, result.check, map(_from_json, before["records"])))
        new = dict(_sets(domain, result.check, result.records))
        for key in old.keys() & new.keys():
            if old[key] != new[key]:
                change = changes.get(key) or Change(result.check, *key, old[key], new[key], at)
                changes[key] = _with_findings(change, before, result)
    return list(changes.values())


def _with_findings(change: Change, before: Mapping[str, Any], result: CheckResult) -> Change:
    """The change with the findings of one check that appeared or cleared."""
    if before["logicVersion"] != result.logic_version:
        return change  # the logic of the check may have changed instead
    old = {(finding["code"], finding["subject"]) for finding in before["findings"]}
    new = {(finding.kind.code, finding.subject) for finding in result.findings}
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
    """Whether both hold the same queries and answers in the same order; TTLs are ignored."""
    return len(before) == len(records) and all(
        old["values"] == list(new.values)
        and (old["name"], old["type"], old["rcode"]) == (new.name, new.type, new.rcode)
        for old, new in zip(before, records, strict=True)
    )


def _from_json(record: Mapping[str, Any]) -> Record:
    return Record(
        name=record["name"],
        type=record["type"],
        rcode=record["rcode"],
        ttl=record["ttl"],
        values=tuple(record["values"]),
    )


def _sets(
    domain: str, check: str, records: Iterable[Record]
) -> Iterator[tuple[tuple[str, str], tuple[str, ...]]]:
    for record in records:
        host = record.name.removeprefix("https://").partition("/")[0]
        is_own = host == domain or names.is_below(host, domain)
        if is_own and record.type in _WATCHED and _is_definite(record):
            values = record.values
            # Other services publish TXT records at the domain, too.
            if record.type == "TXT" and host == domain:
                values = tuple(text for text in values if _matches(check, text))
            yield (record.name, record.type), tuple(sorted(values))


def _is_definite(record: Record) -> bool:
    return record.rcode in ("NOERROR", "NXDOMAIN", "200", "404")


def _matches(check: str, text: str) -> bool:
    return check == "spf" and "spf" in text[:40].lower()


def _latest(changes: Sequence[Change]) -> list[Change]:
    """The last change of each record set.

    A record set that only disappeared and returned with a root cause is not a change. If it
    returned with other values, the change is from the values before the root cause.
    """
    by_record: dict[tuple[str, str], Change | None] = {}
    before_root: dict[tuple[str, str], tuple[str, ...]] = {}
    for change in changes:
        key = (change.name, change.type)
        before = before_root.pop(key, change.before)
        if change.root_appeared:
            before_root[key] = before
        if change.root_resolved:
            is_change = before and before != change.after
            by_record[key] = replace(change, before=before) if is_change else None
        else:
            by_record[key] = change
    return [change for change in by_record.values() if change is not None]


def _record_alerts(posture: Posture) -> Iterator[AlertDraft]:
    for change in _latest(posture.changes):
        kind = _OF_TYPE.get(change.type) or _KIND.get(change.check, change.check)
        if kind not in KINDS or change.type == "HTTPS":
            continue  # a file; changes of the MTA-STS policy have their own alert type
        evidence = {
            "before": list(change.before),
            "after": list(change.after),
            "changedAt": timestamps.text(change.at),
            "opened": list(change.findings_appeared),
            "closed": list(change.findings_resolved),
        }
        label = f"{kind.upper().replace('_', '-')} record at {change.name}"
        if change.before and not change.after:
            severity = Severity.CRITICAL if kind in _CRITICAL_RECORDS else Severity.HIGH
            yield AlertDraft(
                type=REMOVED,
                subject=f"{change.name} {change.type}",
                severity=severity,
                title=f"{label.partition(' at ')[0]} removed from DNS",
                message=f"{posture.domain}: the {label} no longer exists. Publish it again, unless "
                "it was removed on purpose.",
                evidence=evidence,
            )
        else:
            is_new = not change.before
            yield AlertDraft(
                type=f"{CHANGED}.{kind}",
                subject=f"{change.name} {change.type}",
                severity=Severity.INFO if is_new else Severity.MEDIUM,
                title=f"{label.partition(' at ')[0]} {'added to' if is_new else 'changed in'} DNS",
                message=f"{posture.domain}: the {label} {'is new' if is_new else 'changed'}. If "
                "your team didn't do this, review access to the zone.",
                evidence=evidence,
            )


def _policy_alerts(posture: Posture) -> Iterator[AlertDraft]:
    for change in _latest(posture.changes):
        if change.check != "dmarc" or change.type != "TXT" or not change.after:
            continue
        if change.name != f"_dmarc.{posture.domain}":
            continue
        before, after = _policies(change.before), _policies(change.after)
        changed = {tag: (before[tag], after[tag]) for tag in before if before[tag] != after[tag]}
        if any(old is not None for old in before.values()) and changed:
            yield _of_changed(posture.domain, change, changed)


def _of_changed(
    domain: str, change: Change, changed: Mapping[str, tuple[Policy | None, Policy | None]]
) -> AlertDraft:
    """One draft for all tags: weakened if the policy is weaker for any of them."""
    weaker = {
        tag: (old, new) for tag, (old, new) in changed.items() if _strength(new) < _strength(old)
    }
    tag, (before, after) = next(iter((weaker or changed).items()))
    evidence: JsonObject = {
        "before": "\n".join(change.before),
        "after": "\n".join(change.after),
        "policies": {tag: {"before": old, "after": new} for tag, (old, new) in changed.items()},
        "changedAt": timestamps.text(change.at),
    }
    fix = _restoring(change) if weaker else None
    advice = "Watch the reports for legitimate email that is now rejected."
    if weaker:
        advice = "Spoofed email may be delivered now. If your team didn't do this, " + (
            "restore the record."
            if fix
            else "decide what to publish: the record before the change would undo parts of the "
            "new one."
        )
    return AlertDraft(
        type=WEAKENED if weaker else STRENGTHENED,
        subject=change.name,
        severity=Severity.CRITICAL if weaker else Severity.INFO,
        title=f"DMARC policy {'weakened' if weaker else 'strengthened'}",
        message=f"{domain}: the DMARC policy for {_OWNER_CHECK[tag]} changed from "
        f"{before or 'none valid'} to {after or 'none valid'}. {advice}",
        evidence=evidence,
        fix=fix,
        reference="RFC 9989 §4.7",
    )


def _restoring(change: Change) -> Fix | None:
    """The fix that publishes the record before the change again; None if it would lose a part."""
    proposal = proposals.restored(change.before, change.after)
    if proposal is None:
        return None
    before, after = proposal
    why = "Receivers then apply the stricter policy again."
    if before is None:
        return Fix.publish_txt(change.name, after, why)
    return Fix.replace_txt(change.name, before.split("\n"), after=after, why=why)


def _policies(texts: Iterable[str]) -> dict[str, Policy | None]:
    """The policy in effect by tag, with ``t=y`` applied."""
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
