"""TLS figures equal a naive count of the policies."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy.engine import Engine

from app.analysis.mail.periods import MAX_COUNT, SeriesQuery
from app.models import Domain
from app.services.analytics import tls
from app.services.analytics.tls import Sessions, TlsResult
from tests.support.factories import make_account, make_domain
from tests.support.stored_reports import DAY, store_tls_report, tls_policy

START = datetime(2026, 3, 20, tzinfo=UTC)  # clocks turn in Europe and Lebanon in these weeks
ZONES = ["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Beirut", "Asia/Kolkata"]

FAILURES = st.fixed_dictionaries(
    {
        "result_type": st.sampled_from(["certificate-expired", "validation-failure", 'odd "one"']),
        "mx": st.sampled_from([None, "mx1.acme.test", "mx2.acme.test"]),
        "sessions": st.integers(0, 1_000) | st.just(2**63 - 1),
    }
)
POLICIES = st.fixed_dictionaries(
    {
        "policy_type": st.sampled_from(["sts", "tlsa", "no-policy-found"]),
        "successful": st.integers(0, 100_000) | st.just(2**63 - 1),
        "failed": st.integers(0, 1_000),
        "failures": st.lists(FAILURES, max_size=3),
    }
)
REPORTS = st.fixed_dictionaries(
    {
        "at": st.integers(0, 24 * 20).map(lambda hours: START + timedelta(hours=hours)),
        "reporter": st.sampled_from(["google.com", "microsoft.com"]),
        "policies": st.lists(POLICIES, min_size=1, max_size=3),
    }
)


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account().id


def store(domain: Domain, reports: list[dict[str, Any]]) -> None:
    for report in reports:
        policies = [tls_policy(**policy) for policy in report["policies"]]
        store_tls_report(domain, policies, at=report["at"], reporter=report["reporter"])


def cut(sessions: int) -> int:
    return min(sessions, MAX_COUNT)


def plain(counts: Sessions) -> tuple[int, int]:
    return counts.successful, counts.failed


def check_totals(result: TlsResult, reports: list[dict[str, Any]]) -> None:
    """The figures of all policies together."""
    policies = [(report, policy) for report in reports for policy in report["policies"]]
    assert plain(result.totals) == (
        sum(cut(policy["successful"]) for _, policy in policies),
        sum(cut(policy["failed"]) for _, policy in policies),
    )
    assert result.reports == len(reports)
    kinds = [{policy["policy_type"] for policy in report["policies"]} for report in reports]
    assert result.is_overlapping == any(len(types) > 1 for types in kinds)


def check(result: TlsResult, reports: list[dict[str, Any]]) -> None:
    """The figures without the series."""
    check_totals(result, reports)
    policies = [(report, policy) for report in reports for policy in report["policies"]]
    by_type, by_reporter = Counter[str](), Counter[str]()
    for report, policy in policies:
        by_type[policy["policy_type"]] += cut(policy["successful"])
        by_reporter[report["reporter"]] += cut(policy["successful"])
    for groups, expected in ((result.policy_types, by_type), (result.reporters, by_reporter)):
        assert {name: counts.successful for name, counts in groups.items()} == dict(expected)
    by_host: dict[str, Counter[str]] = {}
    for _, policy in policies:
        for failure in policy["failures"]:
            counts = by_host.setdefault(failure["mx"] or "", Counter())
            counts[failure["result_type"]] += cut(failure["sessions"])
    assert result.host_types == by_host
    assert result.hosts == {name: counts.total() for name, counts in by_host.items()}
    assert result.result_types == sum(by_host.values(), Counter())


@settings(
    max_examples=40,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    reports=st.lists(REPORTS, max_size=5),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    start=st.integers(0, 24 * 15),
    length=st.integers(1, 24 * 10),
)
def test_every_sum_equals_a_naive_count(
    account_id: UUID, reports: list[dict[str, Any]], zone: ZoneInfo, start: int, length: int
) -> None:
    domain = make_domain(account_id)
    store(domain, reports)
    from_at = START + timedelta(hours=start)
    to_at = from_at + timedelta(hours=length)
    answer = tls.summarize(account_id, SeriesQuery(domain.name, from_at, to_at, zone=zone))

    inside = [report for report in reports if from_at <= report["at"] < to_at]
    before_at = from_at - timedelta(hours=length)
    check(answer.current, inside)
    check_totals(
        answer.previous_period,
        [report for report in reports if before_at <= report["at"] < from_at],
    )
    days = Counter[Any]()
    for report in inside:
        label = report["at"].astimezone(zone).date()
        days[label] += sum(cut(policy["successful"]) for policy in report["policies"])
    pairs = zip(answer.starts, answer.current.series, strict=True)
    counts_by_day = {
        begin.date(): counts.successful for begin, counts in pairs if counts.successful
    }
    assert counts_by_day == dict(+days)


def test_hosts_over_the_limit_are_included_in_the_sums(
    account_id: UUID, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "MAX_HOSTS", 3)
    failures = [
        {"result_type": ("a", "b")[i % 2], "mx": f"mx{i // 2}.test", "sessions": i + 1}
        for i in range(8)
    ]
    policy = {"policy_type": "sts", "successful": 1, "failed": 36, "failures": failures}
    domain = make_domain(account_id)
    store(domain, [{"at": START, "reporter": "google.com", "policies": [policy]}])
    current = tls.summarize(account_id, SeriesQuery(domain.name, START - DAY, START + DAY)).current
    assert current.host_types == {"mx3.test": {"a": 7, "b": 8}, "mx2.test": {"b": 6}}
    assert current.hosts == {"mx3.test": 7 + 8, "mx2.test": 5 + 6, "mx1.test": 3 + 4}
    assert current.result_types == {"a": 1 + 3 + 5 + 7, "b": 2 + 4 + 6 + 8}
