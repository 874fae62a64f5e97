"""Results about sources are cached until a report, a decision or a scan changes them."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, func, select
from sqlalchemy.engine import Engine

from app.analysis.mail.periods import Window
from app.analysis.mail.sources import Flow
from app.db.transactions import now, transaction
from app.models import DmarcHour, DmarcReport, Domain, DomainState, FlowCount
from app.protocols.dmarc import Policy
from app.protocols.report_formats.aggregate import Record
from app.services.analytics import dmarc, flows, policy, sending, sources
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.policy import PolicyTrial
from app.services.analytics.sending import SendingReport
from app.services.analytics.sources import ManualClassification
from app.services.rollups import cache, rollup_queue, rollups
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, START, Report, record, sending_report, store

WINDOW = Window.between(START, START + 7 * DAY)


@pytest.fixture
def domain(database: Engine) -> Domain:
    return make_domain(make_account().id)


def messages_by_source(domain: Domain) -> dict[str, int]:
    result = sending_report(domain, WINDOW)
    return {source.key: source.messages for source in result.sources}


def flows_of(report: SendingReport) -> list[Flow]:
    groups = [flows for source in report.sources for flows in source.flows.values()]
    return [flow for flows in groups for flow in flows]


def test_stored_report_is_included_and_removed_report_is_not(domain: Domain) -> None:
    def total() -> int:
        query = DmarcQuery(domain.name, START, START + 7 * DAY, group_by="source")
        return dmarc.summarize(domain.account_id, query).totals.messages

    first = store(domain, Report([record(count=3)]))
    assert messages_by_source(domain) == {"own": total()} == {"own": 3}
    store(domain, Report([record(count=4)], reporter="yahoo.com", begin=START + 2 * DAY))
    assert messages_by_source(domain) == {"own": total()} == {"own": 7}
    with transaction() as session:
        rollup_queue.unroll(session, first)
        session.delete(session.get_one(DmarcReport, first))
    assert messages_by_source(domain) == {"own": total()} == {"own": 4}
    rollups.compact_weeks()
    assert messages_by_source(domain) == {"own": total()} == {"own": 4}


def test_manual_classification_is_in_the_next_result(domain: Domain) -> None:
    store(domain, Report([record(dkim=False, spf=False, dkim_results=(), spf_results=())]))
    (key,) = messages_by_source(domain)
    approved = ManualClassification(key, "approved")
    sources.classify(domain.account_id, domain.name, approved, actor=ACTOR)
    result = sending_report(domain, WINDOW)
    assert result.sources[0].review is not None


def test_scan_result_changes_the_next_result(domain: Domain) -> None:
    store(domain, Report([record(source_ip="192.0.2.9", spf=False, spf_results=())]))
    assert "own" not in messages_by_source(domain)
    spf = {
        "facts": {"record": "v=spf1 ip4:192.0.2.0/24 -all"},
        "records": [
            {"name": domain.name, "type": "TXT", "values": ["v=spf1 ip4:192.0.2.0/24 -all"]}
        ],
    }
    with transaction() as session:
        session.add(
            DomainState(
                domain_id=domain.id,
                account_id=domain.account_id,
                last_results={"spf": spf},
                updated_at=now(session) + timedelta(seconds=1),
            )
        )
    assert messages_by_source(domain) == {"own": 1}


def test_unchanged_result_is_not_read_again(domain: Domain, database: Engine) -> None:
    store(domain, Report([record()]))
    statements: list[str] = []

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    event.listen(database, "before_cursor_execute", note)
    try:
        assert messages_by_source(domain) == messages_by_source(domain)
    finally:
        event.remove(database, "before_cursor_execute", note)
    assert sum("dmarc_flow_counts" in statement for statement in statements) == 1


def test_number_of_cached_results_is_limited(domain: Domain) -> None:
    store(domain, Report([record()]))
    for days in range(1, cache.MAX_ENTRIES + 5):
        sending_report(domain, Window.between(START, START + days * DAY))
    assert len(sending._cached) == cache.MAX_ENTRIES


def test_parts_of_a_result_are_from_one_snapshot(domain: Domain) -> None:
    """A report that is stored between two statements is in both results or in neither."""
    store(domain, Report([record(count=3)]))
    with transaction(readonly=True, snapshot=True) as session:
        before = session.scalar(select(func.sum(DmarcHour.messages)))
        store(domain, Report([record(count=4)], reporter="yahoo.com"))
        assert session.scalar(select(func.sum(FlowCount.messages))) == before == 3
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.sum(FlowCount.messages))) == 7


@pytest.mark.parametrize("most_read", [5, 9, 10_000])  # nine flows are stored
def test_addresses_over_the_limit_are_included_in_the_sums(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, most_read: int
) -> None:
    failing = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    rows = [record(f"198.51.100.{i}", 10 + i, **(failing if i % 2 else {})) for i in range(9)]
    store(domain, Report(rows))
    unlimited = sending_report(domain, WINDOW)
    monkeypatch.setattr(flows, "MAX_READ", most_read)
    monkeypatch.setattr(flows, "MAX_FLOWS", 4)
    sending._cached.clear()
    limited = sending_report(domain, WINDOW)
    assert sorted(flow.messages for flow in flows_of(limited) if flow.source_ip) == [15, 16, 17, 18]
    assert limited.messages == unlimited.messages == sum(row.count for row in rows)
    assert sum(source.passed for source in limited.sources) == sum(r.count for r in rows if r.dkim)
    addresses = {address for source in limited.sources for address in source.addresses}
    assert addresses == {f"198.51.100.{i}" for i in range(5, 9)}
    assert any(source.has_more_addresses for source in limited.sources)


@pytest.mark.parametrize("most_read", [4, 20, 10_000])  # twenty flows are stored
def test_identities_over_the_limit_are_included_in_the_sums(
    domain: Domain, monkeypatch: pytest.MonkeyPatch, most_read: int
) -> None:
    rows = rows_of_many_identities(domain)
    store(domain, Report(rows))
    trial = PolicyTrial(p=Policy.REJECT, sp=Policy.REJECT)
    unlimited = policy.simulate(domain.account_id, domain.name, WINDOW, trial)
    monkeypatch.setattr(flows, "MAX_READ", most_read)
    monkeypatch.setattr(flows, "MAX_FLOWS", 3)
    monkeypatch.setattr(flows, "MAX_IDENTITIES", 2)
    sending._cached.clear()
    limited = sending_report(domain, WINDOW)
    listed = [flow.messages for flow in flows_of(limited) if flow.identity > 0]
    assert sorted(listed) == [27, 28, 29, 48, 57]
    assert limited.messages == sum(row.count for row in rows)
    assert sum(source.passed for source in limited.sources) == sum(r.count for r in rows if r.dkim)

    simulated = policy.simulate(domain.account_id, domain.name, WINDOW, trial)
    for name in (
        "messages",
        "passed",
        "affected",
        "newly_affected",
        "no_longer_affected",
        "dispositions",
    ):
        assert getattr(simulated.replay, name) == getattr(unlimited.replay, name), name
    names = set(simulated.replay.header_from) - {f"n{i}.{domain.name}" for i in range(15, 20)}
    assert names == {domain.name, f"*.{domain.name}"}
    assert any("rare kinds" in caveat.description for caveat in simulated.caveats)
    assert sum(simulated.reporters.values()) < unlimited.replay.affected


def rows_of_many_identities(domain: Domain) -> list[Record]:
    """Return records of 20 addresses, most with their own From domain."""
    return [
        record(
            f"198.51.100.{i}",
            10 + i,
            dkim=i % 2 == 0,
            spf=False,
            spf_results=(),
            header_from=f"n{i}.{domain.name}" if i % 3 else domain.name,
            disposition=("none", "reject")[i % 2],
        )
        for i in range(20)
    ]
