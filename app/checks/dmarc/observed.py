"""The policy that reporters observed, compared with the published record."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from app.checks.dmarc.source import Source
from app.checks.engine.types import Finding, FindingType, ObservedPolicy, Severity, Subject
from app.protocols import timestamps
from app.protocols.dmarc import Alignment, Policy

DIFFERS = FindingType(
    code="dmarc.observed_differs_from_published",
    severity=Severity.MEDIUM,
    summary="DMARC: receivers see a different policy than the one published",
    observed="DNS has the policy {published:tags}. Since {since:day}, {reporters_agreeing} of "
    "{reporters_heard} reporters have seen {observed:tags}.",
    why="Receivers do not apply the policy that you published to mail from the domain.",
    remediation="Check whether every name server has the same record (`dns.ns_inconsistent`), "
    "and whether the answer depends on where the query comes from.",
    note="Most reporters, and at least two, agree on another `p`, `sp`, `adkim` or `aspf`, "
    "although the record has not changed for three days; the finding names them.",
    reference="RFC 9990 §3.1",
    flaps=True,
)
FINDING_TYPES = (DIFFERS,)

STABLE_FOR = timedelta(days=3)  # the policy must be unchanged for it: reports cover the day before
CACHED = timedelta(days=1)  # after a change, while receivers may still cache the old record
MIN_REPORTERS = 2  # reporters that must agree: a single one may be wrong
MAX_NAMED = 10  # reporters


class _Values(NamedTuple):
    """The values to compare, with defaults for absent tags (RFC 9989 §4.7)."""

    p: str
    sp: str
    adkim: str
    aspf: str


def facts(subject: Subject, source: Source, policy_tag: str | None) -> dict[str, str]:
    """The time since which the policy for the domain is unchanged, with ``np`` and ``t``.

    policy_tag  the tag that the policy comes from
    returns     policy_since; empty if receivers may read the record in different ways
    """
    published = _published(source)
    if published is None or subject.now is None:
        return {}
    previous = subject.last_facts.get("dmarc", {})
    is_same = (
        previous.get("record_at") == source.record_at
        and previous.get("policy_tag") == policy_tag
        and _known(previous) == published
        and previous.get("np") == source.record.np
        and bool(previous.get("testing")) == source.record.testing
    )
    since = previous.get("policy_since") if is_same else None
    return {"policy_since": since or timestamps.text(subject.now)}


def findings(subject: Subject, source: Source, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """A finding if most reporters agree on another policy, long after it last changed."""
    if source.record_at != subject.domain:
        return  # the policies that reporters observed are about the domain's own record
    published, since = _published(source), _timestamp(facts.get("policy_since"))
    if (
        published is None
        or since is None
        or subject.now is None
        or subject.now - since < STABLE_FOR
    ):
        return
    by_reporter = {
        policy.reporter: values
        for policy in subject.observed
        if policy.begin_at >= since + CACHED and (values := _observed(policy))
    }
    for values, count in Counter(by_reporter.values()).most_common(1):
        if values != published and count >= MIN_REPORTERS and count * 2 > len(by_reporter):
            reporters = sorted(name for name, observed in by_reporter.items() if observed == values)
            yield DIFFERS.at(
                source.name,
                published=published._asdict(),
                observed=values._asdict(),
                reporters=reporters[:MAX_NAMED],
                reporters_agreeing=count,
                reporters_heard=len(by_reporter),
                since=facts["policy_since"],
            )


def _published(source: Source) -> _Values | None:
    """The published values; None where receivers may differ, which has its own findings."""
    record, compared = source.record, _Values._fields
    unclear = {problem.name for problem in record.problems} | set(record.duplicate_tags)
    if not record.is_processed or not unclear.isdisjoint((*compared, "np")):
        return None
    return _values(record.p or Policy.NONE, record.sp, record.adkim, record.aspf)


def _known(facts: Mapping[str, Any]) -> _Values:
    return _values(facts.get("p") or Policy.NONE, *map(facts.get, ("sp", "adkim", "aspf")))


def _observed(policy: ObservedPolicy) -> _Values | None:
    """The values that a reporter observed; None if they cannot be compared."""
    values = _values(policy.p, policy.sp, policy.adkim, policy.aspf)
    is_readable = {values.p, values.sp} <= set(Policy) and {values.adkim, values.aspf} <= set(
        Alignment
    )
    return values if is_readable else None


def _values(p: str, sp: str | None, adkim: str | None, aspf: str | None) -> _Values:
    default = Alignment.RELAXED
    return _Values(
        p=str(p), sp=str(sp or p), adkim=str(adkim or default), aspf=str(aspf or default)
    )


def _timestamp(text: str | None) -> datetime | None:
    """The time in the text; None if there is none, or if the text was truncated."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
