"""What reporters say the policy is, compared with the record that is seen here."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from app.checks.contract import Finding, Kind, ObservedPolicy, Severity, Subject
from app.checks.dmarc_destinations import Source
from app.protocols import timestamps
from app.protocols.dmarc import Alignment, Policy

DIFFERS = Kind(
    "dmarc.observed_differs_from_published",
    Severity.MEDIUM,
    "DMARC: receivers see a different policy than the one published",
    "RFC 9990 §3.1",
    flaps=True,
)
KINDS = (DIFFERS,)

STANDS = timedelta(days=3)  # that the policy must have been as it is: reports are of the day before
CACHED = timedelta(days=1)  # after a change, in which receivers may still know the old record
LEAST = 2  # reporters that must agree: one may be wrong
MAX_NAMED = 10  # reporters


class _Values(NamedTuple):
    """What is compared, with the defaults in the place of what is absent (RFC 9989 §4.7)."""

    p: str
    sp: str
    adkim: str
    aspf: str


def facts(subject: Subject, source: Source) -> dict[str, str]:
    """Since when the domain's own policy has been as it is; nothing if readers may differ on it.

    returns  policy_since
    """
    published = _published(source)
    if published is None or subject.now is None or source.record_at != subject.domain:
        return {}
    known = subject.known.get("dmarc", {})
    is_same = known.get("record_at") == source.record_at and _known(known) == published
    since = known.get("policy_since") if is_same else None
    return {"policy_since": since or timestamps.text(subject.now)}


def findings(subject: Subject, source: Source, facts: Mapping[str, Any]) -> Iterator[Finding]:
    """Whether most reporters agree on another policy, long after the last change of it."""
    published, since = _published(source), _moment(facts.get("policy_since"))
    if published is None or since is None or subject.now is None or subject.now - since < STANDS:
        return
    told = {
        one.reporter: values
        for one in subject.observed
        if one.begin_at >= since + CACHED and (values := _observed(one))
    }
    for values, count in Counter(told.values()).most_common(1):
        if values != published and count >= LEAST and count * 2 > len(told):
            reporters = sorted(name for name, said in told.items() if said == values)
            yield DIFFERS.at(
                source.name,
                published=published._asdict(),
                observed=values._asdict(),
                reporters=reporters[:MAX_NAMED],
                reporters_agreeing=count,
                reporters_heard=len(told),
                since=facts["policy_since"],
            )


def _published(source: Source) -> _Values | None:
    """None where receivers may take the record in different ways: that is told of elsewhere."""
    record, compared = source.record, _Values._fields
    unclear = {problem.name for problem in record.problems} | set(record.duplicate_tags)
    if not record.is_processed or not unclear.isdisjoint((*compared, "np")):
        return None
    return _values(record.p or Policy.NONE, record.sp, record.adkim, record.aspf)


def _known(facts: Mapping[str, Any]) -> _Values:
    return _values(facts.get("p") or Policy.NONE, *map(facts.get, ("sp", "adkim", "aspf")))


def _observed(one: ObservedPolicy) -> _Values | None:
    """None if the reporter says nothing that can be compared."""
    values = _values(one.p, one.sp, one.adkim, one.aspf)
    is_readable = {values.p, values.sp} <= set(Policy) and {values.adkim, values.aspf} <= set(
        Alignment
    )
    return values if is_readable else None


def _values(p: str, sp: str | None, adkim: str | None, aspf: str | None) -> _Values:
    default = Alignment.RELAXED
    return _Values(str(p), str(sp or p), str(adkim or default), str(aspf or default))


def _moment(text: str | None) -> datetime | None:
    """None also for a text that was cut, as facts are that were too long."""
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
