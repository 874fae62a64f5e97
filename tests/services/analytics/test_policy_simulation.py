"""A simulation with rollups equals a replay of every record."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.periods import Window
from app.analysis.policy.step_details import Caveat
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import Domain, DomainState
from app.protocols.dmarc import Policy
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.analytics import policy as analytics_policy
from app.services.analytics import sources
from app.services.analytics.policy import PolicyTrial
from app.services.analytics.sources import ManualClassification
from tests.support.checked_domains import store_results
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, Report, record, store

START = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Window.between(START, START + 28 * DAY)
NETS = {
    "ip4:192.0.2.0/30": {"192.0.2.1", "192.0.2.2"},
    "include:a.test": {"198.51.100.1", "198.51.100.2"},
    "include:b.test": {"198.51.100.2", "203.0.113.1"},
}
ADDRESSES = ["192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "203.0.113.1"]
NAMES = ["acme.test", "news.acme.test", "other.test"]

RESULTS = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["pass", "fail"])), max_size=2)


def aligned(name: str, author: str, mode: str) -> bool:
    return name == author or (mode == "r" and {name, author} <= {"acme.test", "news.acme.test"})


@st.composite
def records(draw: Any) -> Record:
    """A record whose evaluation follows from its results under relaxed alignment."""
    author = draw(st.sampled_from(NAMES[:2]))
    dkim, spf = draw(RESULTS), draw(RESULTS)[:1]
    return record(
        draw(st.sampled_from(ADDRESSES)),
        draw(st.integers(1, 1000)),
        header_from=author,
        dkim=any(result == "pass" and aligned(name, author, "r") for name, result in dkim),
        spf=any(result == "pass" and aligned(name, author, "r") for name, result in spf),
        disposition=draw(st.sampled_from(["none", "quarantine", "reject"])),
        dkim_results=tuple(DkimResult(name, "s", result) for name, result in dkim),
        spf_results=tuple(SpfResult(name, "mfrom", result) for name, result in spf),
    )


REPORTS = st.builds(
    Report,
    rows=st.lists(records(), max_size=6),
    begin=st.builds(lambda day: START + timedelta(days=day), st.integers(0, 27)),
    reporter=st.sampled_from(["google.com", "yahoo.com"]),
)
many = hypothesis_settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account().id


def inherit(domain: Domain, text: str, at: str) -> None:
    """Store the result of a scan in which the record of a parent domain applies."""
    facts = {"record": text, "record_at": at, "org_domain": at, "policy_tag": "sp"}
    with transaction() as session:
        results = {"dmarc": {"facts": facts, "records": []}}
        session.add(
            DomainState(domain_id=domain.id, account_id=domain.account_id, last_results=results)
        )


def make(reports: list[Report]) -> Domain:
    domain = make_domain(make_account().id, "acme.test")
    store_results(domain)
    for report in reports:
        store(domain, report)
    return domain


def replay(rows: list[Record], trial: PolicyTrial) -> dict[str, Any]:
    """Evaluate one record after the other, in the simplest way."""
    hit, newly, spared = 0, 0, 0
    names, addresses = Counter[str](), Counter[str]()
    strength = {"none": 0, "quarantine": 1, "reject": 2}
    for row in rows:
        gone = {
            address
            for term in trial.remove_spf
            for address in NETS[term]
            if not any(address in NETS[other] for other in NETS if other not in trial.remove_spf)
        }
        dkim = any(
            result.result == "pass" and aligned(result.domain, row.header_from, trial.adkim or "r")
            for result in row.dkim_results
        )
        spf = any(
            result.result == "pass"
            and aligned(result.domain, row.header_from, trial.aspf or "r")
            and not (result.domain == "acme.test" and row.source_ip in gone)
            for result in row.spf_results
        )
        policy = (trial.p if row.header_from == "acme.test" else trial.sp) or Policy.NONE
        after = 0 if dkim or spf else strength[policy]
        before = strength[row.disposition]
        spared += row.count * (before > after)
        if after:
            hit += row.count
            newly += row.count * (before == 0)
            names[row.header_from] += row.count
            addresses[row.source_ip] += row.count
    return {
        "affected": hit,
        "newly_affected": newly,
        "no_longer_affected": spared,
        "names": names,
        "addresses": addresses,
    }


@many
@given(
    reports=st.lists(REPORTS, max_size=4),
    trial=st.builds(
        PolicyTrial,
        p=st.sampled_from(Policy),
        sp=st.sampled_from(Policy),
        adkim=st.sampled_from(["r", "s"]),
        aspf=st.sampled_from(["r", "s"]),
        remove_spf=st.lists(st.sampled_from(sorted(NETS)), max_size=2, unique=True),
    ),
)
def test_simulation_equals_a_replay_of_every_record(
    database: Engine, reports: list[Report], trial: PolicyTrial
) -> None:
    domain = make(reports)
    simulated = analytics_policy.simulate(domain.account_id, domain.name, WINDOW, trial)
    rows = [row for report in reports for row in report.rows]
    expected = replay(rows, trial)
    got = simulated.replay
    assert got.messages == sum(row.count for row in rows)
    assert (got.affected, got.newly_affected, got.no_longer_affected) == tuple(
        expected[name] for name in ("affected", "newly_affected", "no_longer_affected")
    )
    assert (got.header_from, got.addresses) == (expected["names"], expected["addresses"])
    assert sum(got.sources.values()) == got.affected
    parts = (simulated.affected.own, simulated.affected.to_review, simulated.affected.spoofed)
    assert sum(part.messages for part in parts) == got.affected
    assert sum(part.source_count for part in parts) == len(+got.sources)
    telling = Counter[str]()
    for report in reports:
        telling[report.reporter] += replay(list(report.rows), trial)["affected"]
    if simulated.reporter_counts_are_upper_bounds:
        assert set(simulated.reporters) >= set(+telling)
        assert all(simulated.reporters[name] >= count for name, count in telling.items())
    else:
        assert simulated.reporters == +telling


def test_simulating_the_published_policy_changes_nothing(account_id: UUID) -> None:
    bad = record(count=5, dkim=False, spf=False, dkim_results=(), spf_results=())
    domain = make([Report([record(count=10), bad], begin=START)])
    simulated = analytics_policy.simulate(domain.account_id, domain.name, WINDOW, PolicyTrial())
    assert (simulated.proposal.p, simulated.replay.affected, simulated.replay.passed) == (
        Policy.NONE,
        0,
        10,
    )


def test_simulation_of_a_subdomain_does_not_use_the_record_of_its_parent(
    account_id: UUID,
) -> None:
    domain = make_domain(account_id, "news.acme.test")
    inherit(domain, "v=DMARC1; p=quarantine; sp=none; rua=mailto:d@acme.test", "acme.test")
    bad = record(
        count=5, header_from=domain.name, dkim=False, spf=False, dkim_results=(), spf_results=()
    )
    for day in range(20):
        store(domain, Report([record(count=10, header_from=domain.name), bad], START + day * DAY))
    readiness = analytics_policy.assess_readiness(account_id, domain.name, WINDOW)
    (step,) = readiness.steps
    assert readiness.published is not None
    assert (readiness.published.name, step.current) == ("_dmarc.news.acme.test", Policy.NONE)
    assert (step.record, step.rollback) == ("v=DMARC1; p=quarantine; rua=mailto:d@acme.test", None)
    unchanged = analytics_policy.simulate(account_id, domain.name, WINDOW, PolicyTrial())
    assert (unchanged.proposal.p, unchanged.replay.affected) == (Policy.NONE, 0)


def test_policy_in_testing_mode_affects_no_more_mail_than_now(account_id: UUID) -> None:
    bad = record(count=5, dkim=False, spf=False, dkim_results=(), spf_results=())
    domain = make_domain(account_id, "acme.test")
    store_results(domain, "v=DMARC1; p=quarantine; sp=reject; t=y")
    store(domain, Report([bad], begin=START))
    simulated = analytics_policy.simulate(account_id, domain.name, WINDOW, PolicyTrial())
    assert (simulated.proposal.p, simulated.proposal.sp) == (Policy.NONE, Policy.QUARANTINE)
    assert simulated.replay.affected == 0


def test_added_dkim_signer_makes_its_source_pass(account_id: UUID) -> None:
    service = record(
        count=20,
        dkim=False,
        spf=False,
        dkim_results=(),
        spf_results=(SpfResult("x.mcsv.net", "mfrom", "pass"),),
        source_ip="203.0.113.77",
    )
    domain = make([Report([record(count=10), service], begin=START)])
    strict = PolicyTrial(p=Policy.REJECT)
    before = analytics_policy.simulate(domain.account_id, domain.name, WINDOW, strict)
    assert before.replay.sources == {"service:Mailchimp": 20}
    signed = PolicyTrial(p=Policy.REJECT, add_dkim=("service:Mailchimp",))
    after = analytics_policy.simulate(domain.account_id, domain.name, WINDOW, signed)
    assert (after.replay.affected, after.replay.passed) == (0, 30)


def test_affected_email_is_own_to_review_or_spoofed(account_id: UUID) -> None:
    failing: dict[str, Any] = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
    service = {**failing, "spf_results": (SpfResult("x.mcsv.net", "mfrom", "pass"),)}
    rows = [
        record(count=100),
        record(count=2, **failing),
        record("203.0.113.50", 3, **failing | {"reasons": (Reason("mailing_list", None),)}),
        record("203.0.113.77", 5, **service),
        record("203.0.113.66", 7, **failing),
    ]
    domain = make([Report(rows, begin=START)])
    trial = PolicyTrial(p=Policy.REJECT)

    def parts() -> list[tuple[int, int, int]]:
        affected = analytics_policy.simulate(account_id, domain.name, WINDOW, trial).affected
        return [
            (part.messages, part.forwarded, part.source_count)
            for part in (affected.own, affected.to_review, affected.spoofed)
        ]

    account_id = domain.account_id
    assert parts() == [(5, 3, 2), (5, 0, 1), (7, 0, 1)]
    approved = ManualClassification("service:Mailchimp", "approved", "")
    sources.classify(account_id, domain.name, approved, actor=ACTOR)
    assert parts() == [(10, 3, 3), (0, 0, 0), (7, 0, 1)]


def test_simulation_lists_its_caveats(account_id: UUID) -> None:
    without_results = record(count=7, dkim=True, spf=False, dkim_results=(), spf_results=())
    domain = make([Report([without_results], begin=START)])
    simulated = analytics_policy.simulate(
        domain.account_id, domain.name, WINDOW, PolicyTrial(p=Policy.REJECT, adkim="s")
    )
    assert simulated.replay.affected == 0
    description = "DKIM passed in alignment, but the report does not name the domain"
    assert Caveat(description, 7) in simulated.caveats
    assert simulated.confidence == "low"


@pytest.mark.parametrize(
    ("trial", "field"),
    [
        (PolicyTrial(remove_spf=("include:c.test",)), "removeSpf"),
        (PolicyTrial(add_dkim=("service:Unknown",)), "addDkim"),
    ],
)
def test_simulation_of_unknown_terms_or_signers_is_refused(
    database: Engine, trial: PolicyTrial, field: str
) -> None:
    domain = make([Report([record()], begin=START)])
    with pytest.raises(InvalidRequest, match=field):
        analytics_policy.simulate(domain.account_id, domain.name, WINDOW, trial)


def test_manual_classification_changes_readiness(database: Engine) -> None:
    service = record(
        count=20,
        dkim=False,
        spf=False,
        dkim_results=(),
        spf_results=(SpfResult("x.mcsv.net", "mfrom", "pass"),),
        source_ip="203.0.113.77",
    )
    rows = [record(count=980), service]
    domain = make([Report(rows, begin=START + day * DAY) for day in range(14, 28)])
    account_id, name = domain.account_id, domain.name

    def answer() -> tuple[bool | None, list[str]]:
        readiness = analytics_policy.assess_readiness(account_id, name, WINDOW)
        step = readiness.steps[0]
        return step.is_ready, [blocker.source.kind for blocker in step.blockers]

    assert answer() == (False, [SourceClass.UNKNOWN])
    for state, expected in (
        ("approved", (False, [SourceClass.OWN])),
        ("blocked", (True, [])),
        ("ignored", (True, [])),
        (None, (False, [SourceClass.UNKNOWN])),
    ):
        change = ManualClassification("service:Mailchimp", state, "")
        sources.classify(account_id, name, change, actor=ACTOR)
        assert answer() == expected


def test_readiness_is_unknown_without_reports(database: Engine) -> None:
    domain = make([])
    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, WINDOW)
    assert [step.is_ready for step in readiness.steps] == [None, None, None]
    assert len(readiness.unmet_requirements) == 2
