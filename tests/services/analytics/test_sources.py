"""What was found of sources is kept for the next question, and never longer than it is true."""

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
from app.services.analytics import cache, dmarc, policy, rollup_queue, rollups, sources
from app.services.analytics.dmarc import DmarcQuery
from app.services.analytics.policy import PolicyTrial
from app.services.analytics.sources import SendingReport
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, START, Report, record, store

WINDOW = Window.between(START, START + 7 * DAY)


@pytest.fixture
def domain(database: Engine) -> Domain:
    return make_domain(make_account().id)


def sent(domain: Domain) -> dict[str, int]:
    found = sources.search(domain.account_id, domain.name, WINDOW)
    return {source.key: source.messages for source in found.sources}


def flows_of(sending: SendingReport) -> list[Flow]:
    return [flow for source in sending.sources for some in source.flows.values() for flow in some]


def test_a_report_is_in_the_next_answer_and_one_that_was_taken_away_is_not(domain: Domain) -> None:
    def told() -> int:
        question = DmarcQuery(domain.name, START, START + 7 * DAY, group_by="source")
        return dmarc.dmarc(domain.account_id, question).totals.messages

    first = store(domain, Report([record(count=3)]))
    assert sent(domain) == {"own": told()} == {"own": 3}
    store(domain, Report([record(count=4)], reporter="yahoo.com", begin=START + 2 * DAY))
    assert sent(domain) == {"own": told()} == {"own": 7}
    with transaction() as session:
        rollup_queue.unroll(session, first)
        session.delete(session.get_one(DmarcReport, first))
    assert sent(domain) == {"own": told()} == {"own": 4}
    rollups.compact_weeks()
    assert sent(domain) == {"own": told()} == {"own": 4}


def test_what_somebody_says_of_a_source_is_in_the_next_answer(domain: Domain) -> None:
    store(domain, Report([record(dkim=False, spf=False, dkim_results=(), spf_results=())]))
    (key,) = sent(domain)
    sources.decide(domain.account_id, domain.name, key, "approved", note=None, actor=ACTOR)
    found = sources.search(domain.account_id, domain.name, WINDOW)
    assert found.sources[0].review is not None


def test_what_a_scan_finds_is_in_the_next_answer(domain: Domain) -> None:
    store(domain, Report([record(source_ip="192.0.2.9", spf=False, spf_results=())]))
    assert "own" not in sent(domain)
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
    assert sent(domain) == {"own": 1}


def test_what_has_not_changed_is_not_read_again(domain: Domain, database: Engine) -> None:
    store(domain, Report([record()]))
    asked: list[str] = []

    def note(_c: Any, _k: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    event.listen(database, "before_cursor_execute", note)
    try:
        first = sent(domain)
        reading = len([one for one in asked if "dmarc_flow_counts" in one])
        assert sent(domain) == first
    finally:
        event.remove(database, "before_cursor_execute", note)
    assert reading == len([one for one in asked if "dmarc_flow_counts" in one]) == 1


def test_only_so_many_answers_are_kept(domain: Domain) -> None:
    store(domain, Report([record()]))
    for days in range(1, cache.MAX_ENTRIES + 5):
        sources.search(domain.account_id, domain.name, Window.between(START, START + days * DAY))
    assert len(sources._cached) == cache.MAX_ENTRIES


def test_the_parts_of_an_answer_are_of_one_moment(domain: Domain) -> None:
    """A report that is stored between two statements is in both of their results or in none."""
    store(domain, Report([record(count=3)]))
    with transaction(readonly=True, snapshot=True) as session:
        before = session.scalar(select(func.sum(DmarcHour.messages)))
        store(domain, Report([record(count=4)], reporter="yahoo.com"))
        assert session.scalar(select(func.sum(FlowCount.messages))) == before == 3
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.sum(FlowCount.messages))) == 7


def test_of_more_addresses_than_are_told_one_by_one_the_sums_are_told(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    rows = [record(f"198.51.100.{i}", 10 + i, **(failing if i % 2 else {})) for i in range(9)]
    store(domain, Report(rows))
    all_of_it = sources.search(domain.account_id, domain.name, WINDOW)
    monkeypatch.setattr(sources, "MAX_FLOWS", 4)
    sources._cached.clear()
    found = sources.search(domain.account_id, domain.name, WINDOW)
    told = flows_of(found)
    assert sorted(flow.messages for flow in told if flow.source_ip) == [15, 16, 17, 18]
    assert found.messages == all_of_it.messages == sum(row.count for row in rows)
    assert sum(source.passed for source in found.sources) == sum(r.count for r in rows if r.dkim)
    addresses = {address for source in found.sources for address in source.addresses}
    assert addresses == {f"198.51.100.{i}" for i in range(5, 9)}
    assert any(source.has_more_addresses for source in found.sources)


def test_of_more_identities_than_are_told_one_by_one_the_sums_are_told(
    domain: Domain, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
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
    store(domain, Report(rows))
    trial = PolicyTrial(p=Policy.REJECT, sp=Policy.REJECT)
    exactly = policy.simulate(domain.account_id, domain.name, WINDOW, trial)
    monkeypatch.setattr(sources, "MAX_FLOWS", 3)
    monkeypatch.setattr(sources, "MAX_IDENTITIES", 2)
    sources._cached.clear()
    found = sources.search(domain.account_id, domain.name, WINDOW)
    told = flows_of(found)
    assert sorted(flow.messages for flow in told if flow.identity > 0) == [27, 28, 29, 48, 57]
    assert found.messages == sum(row.count for row in rows)
    assert sum(source.passed for source in found.sources) == sum(r.count for r in rows if r.dkim)

    simulated = policy.simulate(domain.account_id, domain.name, WINDOW, trial)
    for what in (
        "messages",
        "passed",
        "affected",
        "newly_affected",
        "no_longer_affected",
        "dispositions",
    ):
        assert getattr(simulated.replay, what) == getattr(exactly.replay, what), what
    names = set(simulated.replay.header_from) - {f"n{i}.{domain.name}" for i in range(15, 20)}
    assert names == {domain.name, f"*.{domain.name}"}
    assert any("rare kinds" in text for text, _ in simulated.caveats)
    assert sum(simulated.reporters.values()) < exactly.replay.affected
