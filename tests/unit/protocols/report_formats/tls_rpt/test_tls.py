import json
from typing import Any

import pytest

from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected
from app.protocols.report_formats.tls_rpt import tls
from app.protocols.report_formats.tls_rpt.tls import TlsReport
from tests.support.hostile_reports import TLS
from tests.support.report_cases import NOW

DETAIL = {"result-type": "Certificate-Expired", "failed-session-count": 3}


def parse(limits: Limits = LIMITS, **changes: Any) -> TlsReport:
    """The parsed report with other members; those of its policy begin with ``policy__``."""
    report = json.loads(TLS)
    for name, value in changes.items():
        parent, _, key = name.rpartition("__")
        of = report if not parent else report["policies"][0]
        of = of["policy"] if parent == "policy" else of["summary"] if parent == "summary" else of
        of[key.replace("_", "-")] = value
    return tls.parse(json.dumps(report).encode(), NOW, limits)


def test_failure_detail_has_all_fields() -> None:
    detail = DETAIL | {
        "sending-mta-ip": "2001:DB8::1",
        "receiving-mx-hostname": "mx.shop.example",
        "receiving-mx-helo": None,
        "receiving-ip": "mx.shop.example",
        "additional-information": "a\nb",
        "failure-reason-code": 5,
    }
    report = parse(entry__failure_details=[detail])
    [failure] = report.policies[0].failures
    assert failure == tls.FailureDetail(
        *("certificate-expired", 3, "2001:db8::1", "mx.shop.example", None, "mx.shop.example"),
        *("a b", "5"),
    )
    assert report.warnings == ("not_an_address:receiving-ip",)


@pytest.mark.parametrize(
    ("value", "hosts"),
    [(["a", "b"], ("a", "b")), ("a", ("a",)), ("", ()), (None, ()), ([], ())],
)
def test_hosts_may_be_one_or_several(value: Any, hosts: tuple[str, ...]) -> None:
    assert parse(policy__mx_host=value).policies[0].mx_hosts == hosts


@pytest.mark.parametrize(
    ("text", "begin"),
    [
        ("2026-01-01T00:00:00Z", 1767225600),
        ("2026-01-01t00:00:00z", 1767225600),
        ("2026-01-01T01:00:00+01:00", 1767225600),
        ("2026-01-01T00:00:00.000Z", 1767225600),
        ("2026-01-01 00:00:00", 1767225600),
        ("2026-01-01 00:00:00 +0000 UTC", 1767225600),
        ("2026-01-01 01:00:00 +0100 CET m=+0.5", 1767225600),
        ("2025-12-31T24:00:00Z", 1767225600),
        ("2025-12-31T23:59:60Z", 1767225600),
        ("2026-01-01T00:00Z[UTC]", 1767225600),
        ("2026-01-01T00:00:00,25+0000", 1767225600),
        ("20260101T000000Z", 1767225600),
        ("2026-01-01", 1767225600),
        ("Thu, 01 Jan 2026 00:00:00 +0000", 1767225600),
        ("1767225600", 1767225600),
        ("1767225600000", 1767225600),
    ],
)
def test_timestamps_of_known_senders_are_parsed(text: str, begin: int) -> None:
    report = parse(date_range={"start-datetime": text, "end-datetime": "2026-01-01T09:00:00Z"})
    assert report.begin == begin


@pytest.mark.parametrize(
    "text",
    [
        *("", "2026-W01-1", "2026-13-01T00:00:00Z", "2026-01-01T24:00:01Z", "2026-01-01T00:60Z"),
        *("2026-01-01T25:00:00Z", "soon", "2026-01-01T00:00:00 CET", "1" * 500, None, 5, ["", ""]),
    ],
)
def test_invalid_timestamp_rejects_report(text: Any) -> None:
    with pytest.raises(ReportRejected, match="bad_dates"):
        parse(date_range={"start-datetime": text, "end-datetime": "2026-01-01T09:00:00Z"})


def test_end_without_a_time_is_the_last_second_of_the_day() -> None:
    report = parse(date_range={"start-datetime": "2026-01-01", "end-datetime": "2026-01-01"})
    assert (report.begin, report.end) == (1767225600, 1767311999)


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"summary__total_failure_session_count": "7"},
            "string_for_number:total-failure-session-count",
        ),
        ({"policy__policy_type": "new"}, "policy_type_unknown"),
        ({"policy__policy_domain": None}, "policy_domain_missing"),
        ({"organization_name": {"a": 1}}, "not_a_text:organization-name"),
        (
            {"contact_info": "a" * 1025},
            "text_truncated:contact-info",
        ),
        ({"policy__policy_type": ""}, "policy_type_missing"),
        (
            {"policy__policy_type": None, "policy__policy_string": ["version: STSv1"]},
            "policy_type_missing",
        ),
        (
            {"policy__policy_type": "tlsa", "entry__summary": {"total-failure-session-count": 1}},
            "count_missing:total-successful-session-count",
        ),
        (
            {"summary__total_successful_session_count": None},
            "count_missing:total-successful-session-count",
        ),
    ],
)
def test_tolerated_deviation_is_a_warning(changes: dict[str, Any], warning: str) -> None:
    assert parse(**changes).warnings == (warning,)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"report_id": ""}, "missing_element"),
        ({"policies": {}}, "no_records"),
        ({"policies": {"a": 1}}, "bad_value"),
        ({"policies": [1]}, "bad_value"),
        ({"policies": []}, "no_records"),
        ({"policy__policy_domain": "a b"}, "bad_domain"),
        ({"summary__total_failure_session_count": 10**12 + 1}, "bad_number"),
        ({"summary__total_failure_session_count": "-1"}, "bad_number"),
        ({"summary__total_failure_session_count": "1,000"}, "bad_number"),
        ({"summary__total_failure_session_count": "many"}, "bad_number"),
        ({"summary__total_failure_session_count": "\u0661"}, "bad_number"),
    ],
)
def test_invalid_report_is_rejected(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(ReportRejected) as refused:
        parse(**changes)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(json_values=4), "too_large"),
        (Limits(json_depth=3), "too_deep"),
        (Limits(integer=0), "bad_number"),
    ],
)
def test_exceeding_a_limit_rejects_the_file(limits: Limits, reason: str) -> None:
    with pytest.raises(ReportRejected, match=reason):
        parse(limits)


def test_lone_surrogates_and_control_characters_are_removed() -> None:
    assert parse(organization_name="a\0\ud800b\u202e").organization == "ab\u202e"


@pytest.mark.parametrize(
    ("written", "count"), [("7", 7), (" 7.0 ", 7), (7.0, 7), ("1,234", 1234), ("1,000,000", 10**6)]
)
def test_count_is_read_in_other_spellings(written: Any, count: int) -> None:
    report = parse(summary__total_successful_session_count=written)
    assert report.policies[0].successful == count


def test_long_report_ids_stay_distinct() -> None:
    ids = {parse(report_id="a" * 300 + end).report_id for end in ("", "b", "c")}
    assert len(ids) == 3
    assert {len(report_id) for report_id in ids} <= set(range(256))


@pytest.mark.parametrize(
    ("details", "sessions"),
    [
        ([DETAIL, {"failed-session-count": 4}], 4),
        ([DETAIL, {"result-type": "a", "failed-session-count": -1}], 0),
        ([DETAIL, 5], 0),
    ],
)
def test_unreadable_failure_detail_is_skipped(details: list[Any], sessions: int) -> None:
    report = parse(entry__failure_details=details)
    [failure] = report.policies[0].failures
    assert failure.sessions == 3
    assert (report.skipped.details, report.skipped.failed) == (1, sessions)
    assert report.warnings[0] == "failure_details_skipped"


def test_failure_details_that_are_no_array_do_not_cost_the_policy() -> None:
    report = parse(entry__failure_details="none")
    assert [policy.successful for policy in report.policies] == [1]
    assert report.skipped.reasons == {"bad_value": 1}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"policy": {"policy-type": "sts", "policy-domain": "a b"}}, "bad_domain"),
        ({"policy": "sts"}, "bad_value"),
        ({"summary": {"total-successful-session-count": -5}}, "bad_number"),
        ({"summary": {"total-successful-session-count": 4.5}}, "bad_number"),
    ],
)
def test_unreadable_policy_is_skipped(changes: Any, reason: str) -> None:
    [good] = json.loads(TLS)["policies"]
    report = parse(policies=[{**good, **changes}, good])
    assert [policy.successful for policy in report.policies] == [1]
    assert (report.skipped.policies, report.skipped.reasons) == (1, {reason: 1})


def test_missing_number_of_failures_is_the_sum_of_the_details() -> None:
    report = parse(
        entry__failure_details=[DETAIL, DETAIL], summary__total_failure_session_count=None
    )
    assert report.policies[0].failed == 6


@pytest.mark.parametrize(
    ("written", "known"),
    [("certificateExpired", "certificate-expired"), ("STS_POLICY_INVALID", "sts-policy-invalid")],
)
def test_spelling_of_known_result_type_is_normalized(written: str, known: str) -> None:
    detail = {**DETAIL, "result-type": written}
    assert parse(entry__failure_details=[detail]).policies[0].failures[0].result_type == known


@pytest.mark.parametrize(
    "domain",
    [
        *("_25._tcp.mx.shop.example", "MX.Shop.Example.", ["mx.shop.example"]),
        *("mx.shop.example:25", "[mx.shop.example]", "<mx.shop.example>", "*.mx.shop.example"),
    ],
)
def test_spelling_of_policy_domain_is_normalized(domain: Any) -> None:
    assert parse(policy__policy_domain=domain).policies[0].domain == "mx.shop.example"
