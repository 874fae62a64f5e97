"""Policy readiness equals an evaluation of every record, after enough time at the policy."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import HealthCheck, Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from app.analysis.mail.periods import Window
from app.models import Domain
from app.protocols import timestamps
from app.protocols.report_formats.aggregate import DkimResult, Reason, Record, SpfResult
from app.services.analytics import policy as analytics_policy
from app.services.analytics import sources
from app.services.analytics.policy import Readiness
from app.services.analytics.sources import ManualClassification
from tests.support.checked_domains import store_results
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.stored_reports import DAY, Report, record, store

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
    return "own" if any(row.count and row.dkim for row in rows) else "unknown"


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
    passed = sum(row.count for rows in mail.values() for row in rows if row.dkim or row.spf)
    p = policies["p"] or "none"
    current = {"p": p, "sp": policies["sp"] or p, "np": policies["np"] or policies["sp"] or p}
    steps = []
    for tag, now in current.items():
        if now != "reject":
            about = (tag == "p", tag != "p" or not policies["sp"])
            effect = step(mail, kinds, about, passed, is_ignored=state == "ignored")
            seen = effect["messages"] if tag != "p" else effect["others"]
            is_enough = days >= 14 and good >= 100 and seen > 0
            verdict = verdict_on(effect, passed) if is_long_enough else "not_ready"
            del effect["is_signed"], effect["others"]
            effect["verdict"] = verdict if is_enough else "not_enough_data"
            steps.append({"tag": tag, "wanted": NEXT[now], "good": good} | effect)
    return steps


def verdict_on(effect: dict[str, Any], passed: int) -> str:
    """The verdict after enough reports, and enough time at the policy."""
    if effect["blockers"]:
        return "not_ready"
    if passed < 100:
        return "not_enough_data"
    is_lossless = effect["lost"] * 1000 < 5 * (passed + effect["lost"])
    is_suited_for_reject = is_lossless and effect["is_signed"]
    return "ready" if is_suited_for_reject else "ready_for_quarantine"


def step(
    mail: dict[str, list[Record]],
    kinds: dict[str, str],
    about: tuple[bool, bool],
    passed: int,
    *,
    is_ignored: bool,
) -> dict[str, Any]:
    """The scope of a step: the domain itself, and names below it."""
    blockers: dict[str, int] = {}
    failing: dict[str, int] = {}
    lost: dict[str, int] = {}
    forged, messages, others, own, signed = 0, 0, 0, 0, 0
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
        others += sent.total() if kind != "suspicious" else 0
        can_block = kind in ("own", "unknown") and not (who == "service" and is_ignored)
        if can_block and is_above_limit(kind, sent, failed, passed):
            blockers[who] = bad
        elif can_block:
            failing[who] = bad
        forged += bad if kind == "suspicious" else 0
        lost[who] = bad if kind in ("own", "forwarder") else 0
    add_small_blockers(blockers, failing, passed)
    return {
        "lost": sum(count for who, count in lost.items() if who not in blockers),
        "others": others,
        "forged": forged,
        "blockers": blockers,
        "messages": messages,
        "is_signed": signed > 0 or own == 0,
    }


def is_above_limit(kind: str, sent: Counter[str], failed: Counter[str], passed: int) -> bool:
    """Whether a source blocks by itself."""
    bad = failed.total()
    share = bad / max(passed + bad, 1)
    is_stream = any(n >= 20 and n >= sent[name] - n for name, n in failed.items())
    is_much = share >= 0.005 or is_stream if kind == "own" else share >= 0.01
    return bad >= 5 and is_much


def add_small_blockers(blockers: dict[str, int], failing: dict[str, int], passed: int) -> None:
    """Add sources below the limits, the largest first, until the rest is below the limit."""
    keys = {"own": "own", "service": SERVICE}
    for who in sorted(failing, key=lambda who: (-failing[who], keys[who])):
        rest = sum(failing[name] for name in failing if name not in blockers)
        if rest >= 5 and rest / (passed + rest) >= 0.01:
            blockers[who] = failing[who]


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
    mail = [*mail, *((("own", record("192.0.2.1", 9)), 27 - day) for day in range(steady))]
    by_sender: dict[str, list[Record]] = {}
    for (who, row), _ in mail:
        by_sender.setdefault(who, []).append(row)
    service = by_sender.get("service", [])
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
