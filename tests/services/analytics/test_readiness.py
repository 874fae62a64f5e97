"""Policy readiness equals an evaluation of every record, after enough time at the policy."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from app import ids
from app.analysis.mail.periods import Window
from app.db.transactions import transaction
from app.models import DnsChange, Domain, DomainState
from app.protocols import timestamps
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.analytics import policy as analytics_policy
from app.services.analytics import sources
from app.services.analytics.policy import Readiness
from app.services.analytics.sources import ManualClassification
from tests.support.checked_domains import store_results
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, POLICY, Report, record, store

START = datetime(2026, 3, 2, tzinfo=UTC)
WINDOW = Window.between(START, START + 28 * DAY)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
SERVICE = "service:Mailchimp"
NEXT = {"none": "quarantine", "quarantine": "reject"}
NOTHING: dict[str, Any] = {"dkim": False, "spf": False, "dkim_results": (), "spf_results": ()}
BOUNCES = (SpfResult("x.mcsv.net", "mfrom", "pass"),)

# By who sends it: the SPF record that ``store_results`` has names 192.0.2.1 and none of the others.
TEMPLATES: dict[str, list[Record]] = {
    "own": [
        record("192.0.2.1"),
        record("192.0.2.1", dkim=False, dkim_results=()),
        record("192.0.2.1", **NOTHING),
    ],
    "service": [
        record("203.0.113.77", **NOTHING | {"spf_results": BOUNCES}),
        record(
            "203.0.113.77",
            **NOTHING
            | {
                "spf_results": BOUNCES,
                "dkim": True,
                "dkim_results": (DkimResult("acme.test", "k1", "pass"),),
            },
        ),
    ],
    "list": [
        record("203.0.113.50", **NOTHING | {"reasons": (Reason("mailing_list", None),)}),
        record("203.0.113.50", spf=False, spf_results=(), reasons=(Reason("forwarded", None),)),
    ],
    "forger": [record("203.0.113.66", **NOTHING)],
}
COUNTS = st.one_of(st.integers(0, 30), st.integers(0, 3_000))


@st.composite
def sent(draw: Any) -> tuple[str, Record]:
    who = draw(st.sampled_from(sorted(TEMPLATES)))
    row = draw(st.sampled_from(TEMPLATES[who]))
    name = draw(st.sampled_from(["acme.test", "acme.test", "news.acme.test"]))
    return who, row._replace(count=draw(COUNTS), header_from=name)


MAIL = st.lists(st.tuples(sent(), st.integers(0, 27)), max_size=12)
POLICIES = st.sampled_from([None, "none", "quarantine", "reject"])


def kind_of(who: str, rows: list[Record], state: str | None) -> str:
    if who != "service":
        return {"own": "own", "list": "forwarder", "forger": "suspicious"}[who]
    if state in ("approved", "blocked"):
        return "own" if state == "approved" else "suspicious"
    signed = sum(row.count for row in rows if row.dkim)
    return "own" if signed > sum(row.count for row in rows) - signed else "unknown"


def expected_steps(
    mail: dict[str, list[Record]],
    days: int,
    policies: dict[str, str | None],
    state: str | None,
    days_at_policy: int | None,
) -> list[dict[str, Any]]:
    """Compute the steps record by record, in the simplest way."""
    is_long_enough = days_at_policy is not None and days_at_policy >= 30
    kinds = {who: kind_of(who, rows, state) for who, rows in mail.items()}
    good = sum(
        row.count
        for who, rows in mail.items()
        for row in rows
        if kinds[who] in ("own", "forwarder") or row.dkim or row.spf
    )
    p = policies["p"] or "none"
    current = {"p": p, "sp": policies["sp"] or p, "np": policies["np"] or policies["sp"] or p}
    steps = []
    for tag, now in current.items():
        if now != "reject":
            about = (tag == "p", tag != "p" or not policies["sp"])
            effect = step(mail, kinds, about, good, is_ignored=state == "ignored")
            is_enough = days >= 14 and good >= 100 and effect["messages"] > 0
            verdict = verdict_on(effect, good) if is_long_enough else "not_ready"
            del effect["is_signed"]
            effect["verdict"] = verdict if is_enough else "not_enough_data"
            steps.append({"tag": tag, "wanted": NEXT[now], "good": good} | effect)
    return steps


def verdict_on(effect: dict[str, Any], good: int) -> str:
    """The verdict after enough reports, and enough time at the policy."""
    if effect["blockers"]:
        return "not_ready"
    is_suited_for_reject = effect["lost"] * 1000 < 5 * good and effect["is_signed"]
    return "ready" if is_suited_for_reject else "ready_for_quarantine"


def step(
    mail: dict[str, list[Record]],
    kinds: dict[str, str],
    about: tuple[bool, bool],
    good: int,
    *,
    is_ignored: bool,
) -> dict[str, Any]:
    """The scope of a step: the domain itself, and names below it."""
    blockers, lost, forged, messages = {}, 0, 0, 0
    own, signed = 0, 0
    for who, rows in mail.items():
        sent, failed = Counter[str](), Counter[str]()
        for row in rows:
            if about[row.header_from != "acme.test"]:
                sent[row.header_from] += row.count
                failed[row.header_from] += 0 if row.dkim or row.spf else row.count
                own += row.count if kinds[who] == "own" else 0
                signed += row.count if kinds[who] == "own" and row.dkim else 0
        messages += sent.total()
        bad, kind = failed.total(), kinds[who]
        share = bad / max(good + (bad if kind == "unknown" else 0), 1)
        is_stream = any(n >= 20 and n >= sent[name] - n for name, n in failed.items())
        is_much = {"own": share >= 0.005 or is_stream, "unknown": share >= 0.01}.get(kind, False)
        if bad >= 5 and is_much and not (who == "service" and is_ignored):
            blockers[who] = bad
        elif kind in ("own", "forwarder"):
            lost += bad
        forged += bad if kind == "suspicious" else 0
    return {
        "lost": lost,
        "forged": forged,
        "blockers": blockers,
        "messages": messages,
        "is_signed": signed > 0 or own == 0,
    }


many = hypothesis_settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def since(days: int | None) -> str | None:
    """The time that was this number of days and half a day ago."""
    return days if days is None else timestamps.text(datetime.now(UTC) - DAY * (days + 0.5))


def summarized(readiness: Readiness) -> list[dict[str, Any]]:
    """The steps in the form of ``expected_steps``."""
    names = {"own": "own", SERVICE: "service"}
    return [
        {
            "tag": step.tag,
            "wanted": step.proposed,
            "verdict": step.verdict,
            "messages": step.messages,
            "lost": step.legitimate_failing,
            "forged": step.spoofed,
            "good": readiness.evidence.messages,
            "blockers": {names[blocker.source.key]: blocker.messages for blocker in step.blockers},
        }
        for step in readiness.steps
    ]


def classify_service(domain: Domain, decision: str) -> None:
    change = ManualClassification(SERVICE, decision)
    sources.classify(domain.account_id, domain.name, change, actor=ACTOR)


@many
@given(
    mail=MAIL,
    steady=st.integers(12, 16),
    policies=st.fixed_dictionaries({"p": POLICIES, "sp": POLICIES, "np": POLICIES}),
    state=st.sampled_from([None, "approved", "ignored", "blocked"]),
    days_at_policy=st.one_of(st.none(), st.integers(28, 32), st.integers(30, 400)),
)
def test_readiness_equals_an_evaluation_of_every_record(
    database: Engine,
    mail: list[tuple[tuple[str, Record], int]],
    steady: int,
    policies: dict[str, str | None],
    state: str | None,
    days_at_policy: int | None,
) -> None:
    mail = [*mail, *((("own", record("192.0.2.1", 9)), day) for day in range(steady))]
    by_sender: dict[str, list[Record]] = {}
    for (who, row), _ in mail:
        by_sender.setdefault(who, []).append(row)
    service = by_sender.get("service", [])
    signed = sum(row.count for row in service if row.dkim)
    assume(2 * signed != sum(row.count for row in service) or not signed)

    policies["p"] = policies["p"] or "none"
    domain = make_domain(make_account().id, "acme.test")
    record_text = "; ".join(f"{tag}={policy}" for tag, policy in policies.items() if policy)
    store_results(domain, f"v=DMARC1; {record_text}", since(days_at_policy))
    for (_, row), day in mail:
        store(domain, Report([row], START + timedelta(days=day)))
    if state and any(row.count for row in service):
        classify_service(domain, state)

    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, WINDOW)
    days = len({day for (_, row), day in mail if row.count})
    assert readiness.evidence.days == days
    expected = expected_steps(by_sender, days, policies, state, days_at_policy)
    assert readiness.verdict == (expected[0]["verdict"] if expected else None)
    assert summarized(readiness) == expected


def new_domain(text: str = "v=DMARC1; p=none", name: str = "acme.test") -> Domain:
    """A verified domain that was scanned for the first time an hour ago."""
    domain = make_domain(make_account().id, name)
    store_results(domain, text, timestamps.text(NOW - timedelta(hours=1)))
    return domain


def store_month(domain: Domain, days: int = 40, **fields: Any) -> None:
    """Store daily reports of the days up to now."""
    for day in range(days):
        store(domain, Report([record(count=20)], NOW - (day + 1) * DAY, **fields))


def days_at_policy(domain: Domain) -> int | None:
    window = Window.between(NOW - 30 * DAY, NOW)
    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, window)
    return readiness.evidence.days_at_policy


def test_reports_from_before_the_first_scan_show_the_policy(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    window = Window.between(NOW - 30 * DAY, NOW)
    readiness = analytics_policy.assess_readiness(domain.account_id, domain.name, window)
    assert readiness.published is not None
    assert readiness.published.since == NOW - 40 * DAY
    assert readiness.published.since_source == "reports"
    assert (readiness.verdict, readiness.is_ready) == ("ready", True)


def test_only_trusted_reports_about_the_domain_show_its_policy(database: Engine) -> None:
    domain = new_domain()
    store_month(domain, provenance="unverified")
    store_month(domain, about="news.acme.test")
    store_month(make_domain(make_account().id, "acme.test"))
    assert days_at_policy(domain) == 0


def test_another_policy_in_a_trusted_report_ends_the_time(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    other = Report([record()], NOW - 12 * DAY, policy=POLICY | {"p": "reject"}, reporter="b.test")
    store(domain, replace(other, provenance="unverified"))
    assert days_at_policy(domain) == 40
    store(domain, other)
    assert days_at_policy(domain) == 11


def test_change_that_a_scan_saw_ends_the_time(database: Engine) -> None:
    domain = new_domain()
    store_month(domain)
    change = DnsChange(
        account_id=domain.account_id,
        domain_id=domain.id,
        scan_id=ids.new(),
        at=NOW - timedelta(minutes=59),
        check="dmarc",
        name="_dmarc.acme.test",
        type="TXT",
        before=["v=DMARC1; p=reject"],
        after=["v=DMARC1; p=none"],
    )
    with transaction() as session:
        session.add(change)
    assert days_at_policy(domain) == 0


def test_reports_about_the_parent_show_an_inherited_policy(database: Engine) -> None:
    parent = new_domain()
    store_month(parent)
    below = make_domain(parent.account_id, "news.acme.test")
    elsewhere = make_domain(make_account().id, "news.acme.test")
    facts = {
        "record": "v=DMARC1; p=none",
        "record_at": "acme.test",
        "org_domain": "acme.test",
        "policy_tag": "sp",
        "policy_since": timestamps.text(NOW - timedelta(hours=1)),
    }
    for domain in (below, elsewhere):
        results = {"dmarc": {"facts": facts, "records": []}}
        with transaction() as session:
            session.add(
                DomainState(domain_id=domain.id, account_id=domain.account_id, last_results=results)
            )
    assert (days_at_policy(below), days_at_policy(elsewhere)) == (40, 0)
