"""Rules on mail and reports open an alert at their threshold and none below it."""

from dataclasses import replace
from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.reporters import Reporter
from app.analysis.policy.readiness import PolicyStep
from app.analysis.policy.verdicts import Verdict
from app.checks.engine.types import Severity
from app.protocols.dmarc import Policy
from app.rules.engine.types import AlertDraft
from app.rules.reports import ingest_health, senders, spoofing
from app.rules.reports.posture import AccountPosture, DayFiles, Mail, Mailbox, Tls, Volume
from tests.support.postures import (
    COMPARED,
    HOUR,
    NOW,
    STEADY,
    TODAY,
    Days,
    before,
    drafts,
    mail,
    posture,
    recent,
    undecided,
)


@pytest.mark.parametrize(
    ("now", "usual", "is_opened"),
    [
        (recent((49, 49)), before((100, 0)), False),  # messages of the last days
        (recent((50, 50)), before((100, 0)), True),
        (recent((50, 50)), before((10, 0), 19), False),  # 190 of the baseline
        (recent((50, 50)), before((10, 0), 20), True),
        (recent((50, 50)), before((100, 0), 6), False),  # its days
        (recent((50, 50)), before((100, 0), 7), True),
        (recent(), before((100, 0)), False),
        (recent((50, 50)), before((100, 0), 0), False),
    ],
)
def test_rules_are_undecided_with_little_mail(now: Days, usual: Days, is_opened: bool) -> None:
    current = posture(recent=mail(now), previous=mail(usual))
    assert ("dmarc.compliance_dropped" in drafts(current)) is is_opened
    assert bool(COMPARED & undecided(current)) is not is_opened


COUNTS = st.integers(1, 400).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))


@given(COUNTS, COUNTS)
def test_compliance_drop_opens_below_ninety_percent_or_after_ten_points(
    now: tuple[int, int], usual: tuple[int, int]
) -> None:
    current = posture(recent=mail(recent(now)), previous=mail(before(usual)))
    if now[0] < 50 or usual[0] * 20 < 200:
        assert undecided(current) >= COMPARED
        return
    rate, was = (1 - Fraction(failed, count) for count, failed in (now, usual))
    tenth = Fraction(1, 10)
    assert ("dmarc.compliance_dropped" in drafts(current)) is (
        rate < 9 * tenth <= was or was - rate >= tenth
    )


REPORTER_DAYS = st.dictionaries(st.integers(0, 20), COUNTS, min_size=1, max_size=8)


@given(
    st.dictionaries(st.sampled_from("abc"), COUNTS),
    st.dictionaries(st.sampled_from("abc"), REPORTER_DAYS),
)
def test_each_reporter_is_compared_with_its_own_baseline(
    now: dict[str, tuple[int, int]], usual: dict[str, dict[int, tuple[int, int]]]
) -> None:
    volumes_now = Volume({name: {TODAY - 1: day} for name, day in now.items()})
    volumes_before = Volume(
        {name: {TODAY - 4 - ago: day for ago, day in days.items()} for name, days in usual.items()}
    )
    current = posture(
        recent=Mail(volumes_now, volumes_now), previous=Mail(volumes_before, volumes_before)
    )
    newest = min((ago for days in usual.values() for ago in days), default=0)
    same = [name for name in now if name in usual and max(usual[name]) >= newest + 6]
    messages = sum(now[name][0] for name in same)
    days = {ago for name in same for ago in usual[name]}
    much = sum(count for name in same for count, _ in usual[name].values())
    if messages < 50 or much < 200 or len(days) < 7:
        assert undecided(current) >= COMPARED
        return
    rate = 1 - Fraction(sum(now[name][1] for name in same), messages)
    expected = Fraction(0)
    for name in same:
        count, failed = (sum(day[part] for day in usual[name].values()) for part in (0, 1))
        expected += now[name][0] * (1 - Fraction(failed, count))
    expected /= messages
    tenth = Fraction(1, 10)
    assert ("dmarc.compliance_dropped" in drafts(current)) is (
        rate < 9 * tenth <= expected or expected - rate >= tenth
    )


@pytest.mark.parametrize(
    ("now", "usual", "is_opened"),
    [
        ((5000, 49), (5000, 0), False),  # messages
        ((5000, 50), (5000, 0), True),
        ((5000, 150), (5000, 100), False),  # half as much again as usual
        ((5000, 151), (5000, 100), True),
        ((5000, 65), (5000, 40), False),  # four times the root of 40, which is more
        ((5000, 66), (5000, 40), True),
        ((250, 50), (5000, 0), True),
    ],
)
def test_failure_spike_must_exceed_random_variation(
    now: tuple[int, int], usual: tuple[int, int], is_opened: bool
) -> None:
    current = posture(recent=mail(recent(now)), previous=mail(before(usual)))
    assert ("dmarc.failure_spike" in drafts(current)) is is_opened


@pytest.mark.parametrize(
    ("usual", "most", "is_opened"),
    [
        (before((50, 0)), 199, False),
        (before((50, 0)), 200, True),
        (before((100, 0)), 299, False),
        (before((100, 0)), 300, True),
        (before((100, 0)) | {TODAY - 5: (400, 0)}, 799, False),
        (before((100, 0)) | {TODAY - 5: (400, 0)}, 800, True),
    ],
)
def test_volume_is_unusual_compared_with_mean_and_maximum(
    usual: Days, most: int, is_opened: bool
) -> None:
    current = posture(recent=mail(recent((most, 0))), previous=mail(usual))
    assert ("dmarc.volume_anomaly" in drafts(current)) is is_opened


@pytest.mark.parametrize(
    ("messages", "days", "has_stopped", "is_opened"),
    [(49, 7, True, False), (50, 6, True, False), (50, 7, True, True), (50, 7, False, False)],
)
def test_stopped_reporter_opens_an_alert_if_it_reported_enough(
    messages: int, days: int, has_stopped: bool, is_opened: bool
) -> None:
    reporter = Reporter(
        name="yahoo.com",
        messages=messages,
        first=HOUR - 900,
        last=HOUR - 500,
        days=days,
        typical_interval=24,
        has_stopped=has_stopped,
    )
    current = posture(reporters=[reporter])
    assert ("reports.reporter_stopped" in drafts(current)) is is_opened
    behind = replace(current, is_behind=True)
    assert "reports.reporter_stopped" in undecided(behind)


@pytest.mark.parametrize(("hours", "is_opened"), [(71, False), (72, True)])
def test_missing_reports_open_an_alert_three_days_after_the_request(
    hours: int, is_opened: bool
) -> None:
    since = NOW - timedelta(hours=hours)
    current = posture(policy_since=since, rua=["mailto:d@acme.test"])
    assert ("reports.none_received" in drafts(current)) is is_opened
    assert "reports.none_received" in undecided(replace(current, is_behind=True))


@pytest.mark.parametrize(
    ("verdict", "current", "is_ready"),
    [
        (Verdict.READY, Policy.NONE, True),
        (Verdict.READY, Policy.QUARANTINE, True),
        (Verdict.READY_FOR_QUARANTINE, Policy.NONE, True),
        (Verdict.READY_FOR_QUARANTINE, Policy.QUARANTINE, False),
        (Verdict.NOT_READY, Policy.NONE, False),
        (Verdict.NOT_ENOUGH_DATA, Policy.NONE, None),
    ],
)
def test_policy_alerts_follow_the_verdict_of_readiness(
    verdict: Verdict, current: Policy, is_ready: bool | None
) -> None:
    proposed = Policy.REJECT if current is Policy.QUARANTINE else Policy.QUARANTINE
    step = PolicyStep(
        tag="p",
        current=current,
        proposed=proposed,
        highest=proposed,
        scope=RecordFilter(),
        messages=100,
        verdict=verdict,
        reason="2 legitimate messages would fail.",
        summary="2 of 2,000 legitimate messages would have been lost in 30 days",
        blockers=(),
        legitimate_failing_sources=(),
        legitimate_failing_share=0.001,
        unclassified_sources=(),
        spoofing_sources=(),
        record="…",
        remarks=("pct=50 is left out.",),
        rollback="…",
    )
    assert step.is_ready is is_ready
    state = posture(
        policy=current.value, days_at_policy=30, step=step, record_name="_dmarc.acme.test"
    )
    types = {"dmarc.ready_for_next_policy", "dmarc.policy_none_standing"}
    expected = types if current is Policy.NONE else {"dmarc.ready_for_next_policy"}
    alerts = drafts(state)
    assert set(alerts) & types == (expected if is_ready else set())
    assert bool(undecided(state) & types) is (is_ready is None)
    if is_ready:
        alert = alerts["dmarc.ready_for_next_policy"]
        assert step.reason in alert.message
        assert alert.fix is not None
        assert alert.fix.why == "2 legitimate messages would fail. pct=50 is left out."


@pytest.mark.parametrize(
    ("sessions", "failed", "severity"),
    [
        (19, 19, None),
        (20, 0, None),
        (20, 1, Severity.MEDIUM),
        (20, 2, Severity.HIGH),
        (20, 9, Severity.HIGH),
        (20, 10, Severity.CRITICAL),
    ],
)
def test_tls_failures_have_a_severity_from_twenty_sessions(
    sessions: int, failed: int, severity: Severity | None
) -> None:
    current = posture(
        tls=[
            Tls(
                days=2,
                successful=sessions - failed,
                failed=failed,
                result_types={"x": failed},
                hosts={},
                is_verified=True,
            )
        ]
    )
    draft = drafts(current).get("tls.failure_rate")
    assert (draft and draft.severity) == severity


@pytest.mark.parametrize(
    ("files", "rejected", "is_opened"), [(19, 19, None), (20, 1, False), (20, 2, True)]
)
def test_share_of_rejected_files_opens_an_alert(
    files: int, rejected: int, is_opened: bool | None
) -> None:
    of_day = DayFiles(files, {"no_report": rejected})
    for current, severity in (
        (AccountPosture(NOW, all_files=of_day), Severity.INFO),
        (AccountPosture(NOW, of_day, of_day), Severity.MEDIUM),
    ):
        alerts = ingest_health.ACCOUNT_RULES[0].evaluate(current)
        assert (None if alerts is None else bool(list(alerts))) is is_opened
        assert {draft.severity for draft in alerts or () if isinstance(draft, AlertDraft)} <= {
            severity
        }


@pytest.mark.parametrize(("minutes", "is_opened"), [(59, False), (60, True)])
def test_mailbox_is_unhealthy_after_an_hour(minutes: int, is_opened: bool) -> None:
    since = NOW - timedelta(minutes=minutes)
    current = AccountPosture(
        NOW, failing=[Mailbox(id="mbx_1", name="reports", failing_since=since, failure="refused")]
    )
    assert bool(list(ingest_health.ACCOUNT_RULES[2].evaluate(current) or ())) is is_opened


def test_rules_on_mail_are_undecided_without_recent_reports() -> None:
    silent = posture(recent=Mail(), previous=STEADY)
    of_mail = {type for rule in (*senders.RULES, *spoofing.RULES) for type in rule.types}
    assert COMPARED | of_mail - {"domain.parked_active"} <= undecided(silent)
