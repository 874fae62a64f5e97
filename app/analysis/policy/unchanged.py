"""Since when the published DMARC policy is unchanged, by scans and by reports.

A report says which policy the receiver found in DNS (RFC 9990, ``policy_published``). Reports of
the time before the first scan show that the policy was published earlier. They count as long as
one follows the other without a gap, up to the scan that saw the policy first. A report that shows
another policy ends this time, even if other reports of the same days agree with the scans.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from app.analysis.policy.published import Published, SinceSource
from app.protocols import dmarc
from app.protocols.dmarc import Alignment, Policy

MAX_GAP = timedelta(days=7)  # between two reports, and between the last one and the scan
LOOK_BACK = timedelta(days=90)  # from the scan that saw the policy first
LOOK_AHEAD = timedelta(days=30)  # for contradictions; after it scans alone are enough

_READABLE = frozenset((*Policy, *Alignment, "y", "n"))


class ReportedPolicy(NamedTuple):
    """The policy that a receiver found, by tag, in the period of its report."""

    begin_at: datetime
    end_at: datetime
    tags: Mapping[str, str | None]


class _Shown(Enum):
    """What a report shows of the published policy."""

    SAME = 1
    OTHER = 2
    UNCLEAR = 3


def with_reports(
    published: Published, reports: Iterable[ReportedPolicy], changed_at: datetime | None
) -> Published:
    """Return the record with the time since which scans and reports show its policy unchanged.

    published   its ``since`` is the time at which a scan saw the policy first
    reports     trusted reports about the domain with the record, in any order
    changed_at  when scans last saw another record, if it was before ``since`` or shortly after
    """
    if published.since is None:
        return published
    since = _oldest(published, list(reports), changed_at, published.since)
    if since == published.since:
        return published
    return replace(published, since=since, since_source=SinceSource.REPORTS)


def _oldest(
    published: Published,
    reports: Sequence[ReportedPolicy],
    changed_at: datetime | None,
    since: datetime,
) -> datetime:
    """The begin of the oldest report in an uninterrupted run up to the scan; else the scan."""
    shown = [_shown(published, report.tags) for report in reports]
    bound = max(since - LOOK_BACK, changed_at or since - LOOK_BACK)
    for report, policy in zip(reports, shown, strict=True):
        if policy is _Shown.OTHER:
            bound = max(bound, report.end_at)
    same = [
        report
        for report, policy in zip(reports, shown, strict=True)
        if policy is _Shown.SAME and _is_evidence(report, bound)
    ]
    for report in sorted(same, key=lambda report: report.end_at, reverse=True):
        if report.end_at >= since - MAX_GAP:
            since = min(since, report.begin_at)
    return since


def _is_evidence(report: ReportedPolicy, bound: datetime) -> bool:
    return report.begin_at >= bound and report.end_at - report.begin_at <= MAX_GAP


def _shown(published: Published, tags: Mapping[str, str | None]) -> _Shown:
    shown = {_compared(mine, reported) for mine, reported in _values(published, tags)}
    if _Shown.OTHER in shown or _is_for_a_part(tags.get("pct")):
        return _Shown.OTHER
    return _Shown.UNCLEAR if _Shown.UNCLEAR in shown else _Shown.SAME


def _values(published: Published, tags: Mapping[str, str | None]) -> Iterator[tuple[str, str]]:
    """The published and the reported value of each tag that matters; empty: not reported.

    Absent tags have their defaults (RFC 9989 §4.7). Receivers that follow RFC 7489 report neither
    ``np`` nor ``t``, so an absent ``np`` counts as unknown if a stricter one could still follow.
    """
    record = dmarc.parse_record(published.text or "")
    p = record.p or Policy.NONE
    yield p, tags.get("p") or ""
    if published.is_inherited or published.is_organizational:
        below = record.sp or p
        np = record.np or below
        yield below, tags.get("sp") or tags.get("p") or ""
        default = np if record.np is None or np is Policy.REJECT else ""
        yield np, tags.get("np") or default
    yield record.adkim, tags.get("adkim") or Alignment.RELAXED
    yield record.aspf, tags.get("aspf") or Alignment.RELAXED
    yield _flag(record.testing), tags.get("testing") or ("" if record.testing else "n")


def _compared(published: str, reported: str) -> _Shown:
    if reported not in _READABLE:
        return _Shown.UNCLEAR
    return _Shown.SAME if reported == published else _Shown.OTHER


def _flag(is_set: bool) -> str:
    return "y" if is_set else "n"


def _is_for_a_part(pct: str | None) -> bool:
    """Whether the policy applied to a part of the mail only (RFC 7489)."""
    return pct is not None and pct.isascii() and pct.isdigit() and int(pct[:6]) < 100
