"""Since when a policy is unchanged: never longer than scans and reports show."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.policy import published as published_policy
from app.analysis.policy.published import Published, SinceSource
from app.analysis.policy.unchanged import LOOK_BACK, MAX_GAP, ReportedPolicy, with_reports

DAY = timedelta(days=1)
SCAN = datetime(2026, 11, 1, 9, tzinfo=UTC)
MIDNIGHT = datetime(2026, 11, 1, tzinfo=UTC)
SAME: Mapping[str, str | None] = {"p": "none", "sp": None, "adkim": "r", "aspf": None, "np": None}
OTHERS: list[Mapping[str, str | None]] = [
    {"p": "none", "sp": "reject"},
    {"p": "reject"},
    {"p": "none", "pct": "50"},
]


def published(
    text: str = "v=DMARC1; p=none", *, org_domain: str = "acme.test", record_at: str = "acme.test"
) -> Published:
    facts = {
        "record": text,
        "record_at": record_at,
        "org_domain": org_domain,
        "policy_since": SCAN.isoformat(),
    }
    result = published_policy.from_facts("acme.test", facts)
    assert result is not None
    return result


def report(
    day: float, tags: Mapping[str, str | None] = SAME, length: timedelta = DAY
) -> ReportedPolicy:
    """A report that begins ``day`` days after the midnight before the scan."""
    return ReportedPolicy(MIDNIGHT + day * DAY, MIDNIGHT + day * DAY + length, tags)


def days_before_scan(record: Published, *reports: ReportedPolicy) -> float:
    """The days before the midnight of the scan; 0: reports add nothing."""
    result = with_reports(record, reports, None)
    assert result.since is not None
    if result.since_source is SinceSource.SCANS:
        assert result.since == SCAN
        return 0
    return (MIDNIGHT - result.since) / DAY


REPORTS = st.lists(
    st.builds(
        report,
        st.integers(-100, 20),
        st.sampled_from([SAME] * 20 + OTHERS + [{"p": "?"}, {}]),
        st.sampled_from([DAY, DAY, DAY, timedelta(0), 2 * DAY, MAX_GAP, 31 * DAY]),
    ),
    max_size=60,
)
CHANGES = st.one_of(st.none(), st.none(), st.integers(-100, 0).map(lambda day: SCAN + day * DAY))


@given(reports=REPORTS, changed_at=CHANGES)
def test_time_is_that_of_the_oldest_report_in_an_uninterrupted_run(
    reports: list[ReportedPolicy], changed_at: datetime | None
) -> None:
    bounds = [SCAN - LOOK_BACK, *([changed_at] if changed_at else [])]
    bounds += [r.end_at for r in reports if r.tags in OTHERS]
    remaining = {
        (r.begin_at, r.end_at)
        for r in reports
        if r.tags == SAME and r.begin_at >= max(bounds) and r.end_at - r.begin_at <= MAX_GAP
    }
    run = {(SCAN, SCAN)}
    while joined := {r for r in remaining if any(r[1] >= begin - MAX_GAP for begin, _ in run)}:
        run |= joined
        remaining -= joined
    expected = min(begin for begin, _ in run)

    result = with_reports(published(), reports, changed_at)
    assert result.since == expected
    source = SinceSource.REPORTS if expected < SCAN else SinceSource.SCANS
    assert result.since_source is source


@given(reports=REPORTS, added=REPORTS, changed_at=CHANGES)
def test_a_contradiction_never_makes_the_time_longer(
    reports: list[ReportedPolicy], added: list[ReportedPolicy], changed_at: datetime | None
) -> None:
    before = with_reports(published(), reports, changed_at).since
    other = [r._replace(tags=OTHERS[0]) for r in added]
    after = with_reports(published(), [*reports, *other], changed_at).since
    assert before is not None
    assert after is not None
    assert before <= after <= SCAN


@pytest.mark.parametrize(
    ("text", "tags", "days"),
    [
        ("v=DMARC1; p=quarantine", {"p": "quarantine"}, 1),
        ("v=DMARC1; p=quarantine", {"p": "quarantine", "sp": "quarantine", "pct": "100"}, 1),
        ("v=DMARC1; p=quarantine", {"p": "quarantine", "pct": "99"}, 0),
        ("v=DMARC1; p=quarantine", {"p": "quarantine", "testing": "y"}, 0),
        ("v=DMARC1; p=quarantine; t=y", {"p": "quarantine", "testing": "y"}, 1),
        ("v=DMARC1; p=quarantine; t=y", {"p": "quarantine"}, 0),  # the receiver may not know t
        ("v=DMARC1; p=none; sp=reject", {"p": "none", "sp": "reject"}, 1),
        ("v=DMARC1; p=none; sp=reject", {"p": "none"}, 0),
        ("v=DMARC1; p=none; np=reject", {"p": "none"}, 1),
        ("v=DMARC1; p=none; np=quarantine", {"p": "none"}, 0),
        ("v=DMARC1; p=none; np=quarantine", {"p": "none", "np": "quarantine"}, 1),
        ("v=DMARC1; p=none", {"p": "none", "np": "quarantine"}, 0),
        ("v=DMARC1; p=none; adkim=s", {"p": "none"}, 0),
        ("v=DMARC1; p=none; adkim=s", {"p": "none", "adkim": "s", "aspf": "r"}, 1),
        ("v=DMARC1; rua=mailto:d@acme.test", {"p": "none"}, 1),
    ],
)
def test_report_shows_the_policy_if_its_tags_agree(
    text: str, tags: Mapping[str, str | None], days: float
) -> None:
    assert days_before_scan(published(text), report(-1, tags)) == days


def test_tags_for_subdomains_do_not_matter_below_the_organizational_domain() -> None:
    record = published("v=DMARC1; p=none; sp=reject", org_domain="test")
    assert days_before_scan(record, report(-1, {"p": "none", "sp": "none"})) == 1


def test_inherited_record_is_compared_as_published() -> None:
    record = published("v=DMARC1; p=reject; sp=none", record_at="test")
    assert days_before_scan(record, report(-1, {"p": "reject", "sp": "none"})) == 1
    assert days_before_scan(record, report(-1, {"p": "none", "sp": "none"})) == 0


def test_unknown_time_stays_unknown() -> None:
    record = replace(published(), since=None, since_source=None)
    assert with_reports(record, [report(-1)], None) == record
