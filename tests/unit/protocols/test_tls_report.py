import json
from typing import Any

import pytest

from app.protocols.report_formats import tls
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected
from app.protocols.report_formats.tls import TlsReport
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
    assert report.warnings == ("receiving-ip is not an IP address",)


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
    ],
)
def test_timestamps_of_known_senders_are_parsed(text: str, begin: int) -> None:
    report = parse(date_range={"start-datetime": text, "end-datetime": "2026-01-01T09:00:00Z"})
    assert report.begin == begin


@pytest.mark.parametrize(
    "text", ["", "1767225600", "2026-W01-1", "2026-01-01", "2026-13-01T00:00:00Z", None, 5]
)
def test_invalid_timestamp_rejects_report(text: Any) -> None:
    with pytest.raises(ReportRejected, match="bad_dates"):
        parse(date_range={"start-datetime": text, "end-datetime": "2026-01-01T09:00:00Z"})


@pytest.mark.parametrize(
    ("changes", "warning"),
    [
        (
            {"summary__total_failure_session_count": "7"},
            "total-failure-session-count is a string instead of a number",
        ),
        ({"policy__policy_type": "new"}, "a policy has the unknown policy-type 'new'"),
        ({"policy__policy_domain": None}, "policy-domain is missing"),
    ],
)
def test_tolerated_deviation_is_a_warning(changes: dict[str, Any], warning: str) -> None:
    assert parse(**changes).warnings == (warning,)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"report_id": ""}, "missing_element"),
        ({"report_id": "a" * 256}, "field_too_long"),
        ({"organization_name": "a" * 1025}, "field_too_long"),
        ({"organization_name": ["a"]}, "bad_value"),
        ({"policies": {}}, "bad_value"),
        ({"policies": [1]}, "bad_value"),
        ({"policies": []}, "no_records"),
        ({"policy__policy_domain": "a b"}, "bad_domain"),
        ({"policy__policy_type": ""}, "missing_element"),
        ({"summary__total_failure_session_count": 10**12 + 1}, "bad_number"),
        ({"summary__total_failure_session_count": "-1"}, "bad_number"),
        ({"summary__total_failure_session_count": "\u0661"}, "bad_number"),
        ({"entry__failure_details": [{}]}, "missing_element"),
        ({"entry__failure_details": {"a": 1}}, "bad_value"),
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
