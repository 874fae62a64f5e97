"""Senders by segment: each is in one segment, and the rows add up to the totals of the page."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.periods import Window
from app.analysis.mail.totals import Totals
from app.analysis.policy import blockers, segments
from app.analysis.policy.segments import Segment
from app.protocols.report_formats.aggregate import Record, SpfResult
from app.services.analytics import dmarc, senders, sources
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.senders import SenderFilter, SenderOrder, SenderPage, SenderRow
from app.services.analytics.sending import SendingReport
from app.services.analytics.sources import ManualClassification
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, START, Report, record, sending_report, store

WINDOW = Window.between(START - DAY, START + 10 * DAY)
NOTHING = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
OTHER = (SpfResult("other.test", "mfrom", "pass"),)
KINDS: dict[str, dict[str, Any]] = {
    "own": {},
    "forwarded": {"spf": False, "spf_results": (SpfResult("lists.test", "mfrom", "pass"),)},
    "unknown": NOTHING | {"spf_results": (SpfResult("news.test", "mfrom", "pass"),)},
    "spoofed": NOTHING,
}
ROWS = st.builds(
    lambda address, count, kind: record(address, count, **KINDS[kind]),
    st.sampled_from([f"192.0.2.{number}" for number in range(1, 9)]),
    st.integers(1, 500),
    st.sampled_from(sorted(KINDS)),
)
DECISIONS = st.lists(st.sampled_from(["approved", "blocked", "ignored", None]), max_size=12)
FILTERED = [segment for segment in Segment if segment is not Segment.ALL]


def all_pages(report: SendingReport, filter: SenderFilter) -> list[SenderPage]:
    pages = [senders.page(report, filter, None, 5)]
    while pages[-1].cursor_values is not None:
        pages.append(senders.page(report, filter, pages[-1].cursor_values, 5))
    return pages


def figures(pages: list[SenderPage]) -> tuple[int, int, int]:
    """The numbers of rows, messages and failed messages that the pages show."""
    rows = [row for page in pages for row in page.rows]
    sums = [totals(row) for row in rows]
    return len(rows), sum(row.messages for row in sums), sum(row.failed for row in sums)


def totals(row: SenderRow) -> Totals:
    if row.group:
        return row.group.totals
    assert row.detail is not None
    return row.detail.source


def names(report: SendingReport, **filter: Any) -> list[str]:
    rows = [row for page in all_pages(report, SenderFilter(**filter)) for row in page.rows]
    return [row.detail.source.service.name if row.detail else "group" for row in rows]


@pytest.mark.usefixtures("database")
@given(rows=st.lists(ROWS, min_size=1, max_size=12), decisions=DECISIONS)
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_each_source_is_in_one_segment_and_rows_add_up(
    rows: list[Record], decisions: list[str | None]
) -> None:
    account = make_account().id
    domain = make_domain(account, "acme.test")
    store(domain, Report(rows))
    for source, decision in zip(sending_report(domain, WINDOW).sources, decisions, strict=False):
        choice = ManualClassification(source.key, decision)
        sources.classify(account, domain.name, choice, actor=ACTOR)
    report = sending_report(domain, WINDOW)
    lists = {segment: all_pages(report, SenderFilter(segment)) for segment in Segment}
    for segment, pages in lists.items():
        count, messages, failed = figures(pages)
        assert count == pages[0].total == pages[0].counts[segment]
        assert (messages, failed) == (pages[0].totals.messages, pages[0].totals.failed)
    total = dmarc.summarize(account, DmarcQuery(domain.name, START - DAY, START + 10 * DAY)).totals
    assert figures(lists[Segment.ALL])[1:] == (total.messages, total.failed)
    ignored = [source for source in report.sources if blockers.is_ignored(source)]
    listed = [figures(lists[segment]) for segment in FILTERED]
    assert sum(part[1] for part in listed) + sum(row.messages for row in ignored) == total.messages
    assert sum(part[0] for part in listed) + len(ignored) == figures(lists[Segment.ALL])[0]
    for source in report.sources:
        assert (segments.of(source) is Segment.ALL) == blockers.is_ignored(source)


@pytest.fixture
def report(database: Engine) -> SendingReport:
    """The mail of own servers, a service, a forwarder, and three unauthenticated addresses."""
    domain = make_domain(make_account().id, "acme.test")
    rows = [
        record("192.0.2.1", 90),
        record("203.0.113.5", 40, **KINDS["unknown"]),
        record("203.0.113.6", 30, **KINDS["forwarded"]),
        *(record(f"198.51.100.{n}", n, **NOTHING) for n in (10, 11, 12)),
        record("2001:db8::1", 5, **KINDS["unknown"] | {"spf_results": OTHER}),
    ]
    store(domain, Report(rows))
    return sending_report(domain, WINDOW)


def test_unauthenticated_addresses_are_one_row_that_opens_a_list(report: SendingReport) -> None:
    group = "group"
    assert names(report) == ["Own servers", "news.test", group, "lists.test", "other.test"]
    assert names(report, segment=Segment.UNAUTHENTICATED) == [group]
    addresses = ["198.51.100.12", "198.51.100.11", "198.51.100.10"]
    assert names(report, is_addresses_only=True) == addresses
    assert names(report, segment=Segment.YOURS, is_addresses_only=True) == []
    row = senders.page(report, SenderFilter(Segment.UNAUTHENTICATED), None, 5).rows[0].group
    assert row is not None
    assert (row.addresses, row.totals.messages, row.totals.failed) == (3, 33, 33)
    assert row.records.is_exact
    assert set(row.records.filter.source_ips) == set(addresses)


def test_only_address_that_is_not_authenticated_is_a_row_of_its_own(report: SendingReport) -> None:
    assert names(report, q="100.11") == ["198.51.100.11"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (SenderOrder.FAILED, ["news.test", "group", "other.test", "lists.test", "Own servers"]),
        (SenderOrder.NAME, ["lists.test", "news.test", "other.test", "Own servers", "group"]),
    ],
)
def test_senders_are_sorted(report: SendingReport, order: SenderOrder, expected: list[str]) -> None:
    assert names(report, order=order) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("NEWS", ["news.test"]),
        ("203.0.113.", ["news.test", "lists.test"]),
        ("2001:DB8:0::1", ["other.test"]),
        ("198.51.100", ["group"]),
        ("%", []),
    ],
)
def test_senders_are_found_by_name_and_address(
    report: SendingReport, text: str, expected: list[str]
) -> None:
    assert names(report, q=text) == expected
    page = senders.page(report, SenderFilter(q=text), None, 5)
    assert page.counts[Segment.ALL] == page.total == len(expected)


def test_pages_have_each_sender_once(database: Engine) -> None:
    domain = make_domain(make_account().id, "acme.test")
    rows = [
        record(
            f"203.0.113.{n}",
            1 + n % 3,
            **NOTHING | {"spf_results": (SpfResult(f"n{n}.test", "mfrom", "pass"),)},
        )
        for n in range(senders.PAGE_SIZE + 20)
    ]
    store(domain, Report(rows))
    report = sending_report(domain, WINDOW)
    for order in SenderOrder:
        pages = all_pages(report, SenderFilter(order=order))
        assert [len(page.rows) for page in pages] == [senders.PAGE_SIZE, 20]
        assert len(set(names(report, order=order))) == len(rows)


def test_suspicious_sender_that_also_sends_unclassified_mail_needs_review(
    database: Engine,
) -> None:
    domain = make_domain(make_account().id, "acme.test")
    rows = [record("203.0.113.5", 10, **NOTHING), record("203.0.113.5", 2, **KINDS["unknown"])]
    store(domain, Report(rows))
    report = sending_report(domain, WINDOW)
    (row,) = senders.page(report, SenderFilter(Segment.REVIEW), None, 5).rows
    assert row.is_mixed
    assert row.detail is not None
    assert row.detail.source.kind is SourceClass.SUSPICIOUS
