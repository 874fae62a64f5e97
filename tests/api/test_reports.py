"""Reports read back: lists with filters and pages, details, records, raw files, exports."""

import csv
import gzip
import json

import pytest

from app.services.filing import processor
from app.services.ingest import files as ingest_files
from tests.support.api_client import Client
from tests.support.api_reports import read_by_earlier_version, rows, upload
from tests.support.report_documents import YESTERDAY, dmarc_xml, record, tls_json


def ids_of(client: Client, path: str) -> list[str]:
    return [item["reportId"] for item in client.data("GET", path)]


def test_aggregate_reports_are_listed_newest_first(full: Client) -> None:
    second, first = full.data("GET", "/v1/reports/dmarc")
    assert (first["reportId"], second["reportId"]) == ("first", "second")
    assert second["id"].startswith("dmr_")
    assert (second["domainName"], second["reporter"], second["orgName"]) == (
        "acme.test",
        "other.test",
        "other.test",
    )
    assert (second["recordCount"], second["messages"], second["passed"], second["failed"]) == (
        3,
        8,
        6,
        2,
    )
    assert second["policy"]["p"] == "reject"
    assert second["provenance"] == "token"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("domain=acme.test", ["second", "first"]),
        ("domain=empty.test", []),
        ("reporter=Receiver.test", ["first"]),
        ("reportId=second", ["second"]),
        ("result=fail", ["second"]),
        ("result=pass", ["first"]),
        ("sourceIp=192.0.2.7", ["second"]),
        ("sourceIp=2001:DB8:0:0::1", ["second"]),
        ("sourceIp=192.0.2.99", []),
        (f"from={YESTERDAY}", ["second"]),
        (f"to={YESTERDAY}", ["first"]),
        ("limit=1", ["second"]),
    ],
)
def test_list_is_filtered(full: Client, query: str, expected: list[str]) -> None:
    query = query.replace(str(YESTERDAY), _text(YESTERDAY))
    assert ids_of(full, f"/v1/reports/dmarc?{query}") == expected


def _text(at: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_pages_are_consecutive(full: Client) -> None:
    first = full("GET", "/v1/reports/dmarc?limit=1").json
    cursor = first["meta"]["pagination"]["nextCursor"]
    second = full("GET", f"/v1/reports/dmarc?limit=1&cursor={cursor}").json
    assert [item["reportId"] for item in (*first["data"], *second["data"])] == ["second", "first"]
    assert second["meta"]["pagination"]["hasMore"] is False


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("domain=unknown.test", 404),
        ("sourceIp=hello", 400),
        ("result=perhaps", 400),
        ("format=xlsx", 400),
        ("colour=red", 400),
        ("cursor=AAAA", 400),
    ],
)
def test_invalid_filters_are_refused(full: Client, query: str, status: int) -> None:
    assert full("GET", f"/v1/reports/dmarc?{query}").status_code == status


def test_records_are_in_the_order_of_the_report(full: Client) -> None:
    report = full.data("GET", "/v1/reports/dmarc")[0]
    path = f"/v1/reports/dmarc/{report['id']}"
    assert full.data("GET", path) == report
    records = full.data("GET", f"{path}/records")
    assert [(item["sourceIp"], item["result"]) for item in records] == [
        ("192.0.2.7", "pass"),
        ("2001:db8::1", "fail"),
        ("192.0.2.8", "pass"),
    ]
    assert records[2]["dkim"] == "fail"
    assert records[0]["dkimResults"] == [
        {"domain": "acme.test", "selector": "s1", "result": "pass"}
    ]
    failed = full.data("GET", f"{path}/records?result=fail")
    assert [item["position"] for item in failed] == [1]
    assert len(full.data("GET", f"{path}/records?sourceIp=192.0.2.8")) == 1
    page = full("GET", f"{path}/records?limit=2").json
    cursor = page["meta"]["pagination"]["nextCursor"]
    rest = full.data("GET", f"{path}/records?limit=2&cursor={cursor}")
    assert [item["position"] for item in rest] == [2]


def test_raw_file_is_unchanged(full: Client) -> None:
    raw = gzip.compress(dmarc_xml(report_id="zipped"))
    upload(full, raw)
    (report,) = full.data("GET", "/v1/reports/dmarc?reportId=zipped")
    response = full("GET", f"/v1/reports/dmarc/{report['id']}/raw")
    assert response.data == raw
    assert response.headers["Content-Type"] == "application/octet-stream"
    assert response.headers["Content-Disposition"] == 'attachment; filename="report.bin"'
    assert response.headers["Content-Security-Policy"].startswith("sandbox")
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_tls_reports_are_listed_and_shown_with_their_policies(full: Client) -> None:
    (report,) = full.data("GET", "/v1/reports/tls-rpt?domain=acme.test&reporter=receiver.test")
    assert report["id"].startswith("tlr_")
    shown = full.data("GET", f"/v1/reports/tls-rpt/{report['id']}")
    (policy,) = shown.pop("policies")
    assert shown == report
    assert (policy["successful"], policy["failed"]) == (40, 2)
    assert policy["failures"][0]["resultType"] == "certificate-expired"
    assert full("GET", f"/v1/reports/tls-rpt/{report['id']}/raw").data == tls_json()
    base = "/v1/reports/tls-rpt?resultType"
    assert len(full.data("GET", f"{base}=certificate-expired")) == 1
    assert full.data("GET", f"{base}=certificate") == []
    assert full("GET", f"{base}=a%25").status_code == 400


PARTIAL = dmarc_xml(
    report_id="partial",
    org="odd.test",
    records=[record(count=4), record(ip="none", count=6), record(count="many")],
)
PARTIAL_TLS = tls_json(report_id="partial").replace(
    b'"failed-session-count": 2', b'"failed-session-count": "two"'
)


def test_partial_reports_say_what_is_missing(full: Client) -> None:
    upload(full, PARTIAL, PARTIAL_TLS)
    (report,) = full.data("GET", "/v1/reports/dmarc?partial=true")
    assert report["partial"] is True
    assert (report["recordCount"], report["messages"]) == (1, 4)
    reasons = {"bad_source_ip": 1, "bad_number": 1}
    assert report["skippedRecords"] == {"count": 2, "messages": 6, "reasons": reasons}
    assert "records_skipped" in report["warnings"]
    assert full.data("GET", f"/v1/reports/dmarc/{report['id']}") == report
    (tls,) = full.data("GET", "/v1/reports/tls-rpt?partial=true")
    assert tls["skippedRecords"] == {
        **{"count": 1, "sessions": 0, "failedSessions": 0},
        "reasons": {"bad_number": 1},
    }
    assert tls["partial"] is full.data("GET", f"/v1/reports/tls-rpt/{tls['id']}")["partial"] is True


def test_complete_reports_are_not_partial(full: Client) -> None:
    upload(full, PARTIAL, PARTIAL_TLS)
    assert ids_of(full, "/v1/reports/dmarc?partial=false") == ["second", "first"]
    assert ids_of(full, "/v1/reports/tls-rpt?partial=false") == ["t1"]
    for route in ("dmarc", "tls-rpt"):
        for report in full.data("GET", f"/v1/reports/{route}?partial=false"):
            assert report["partial"] is False
            assert (report["skippedRecords"]["count"], report["warnings"]) == (0, [])
        assert full("GET", f"/v1/reports/{route}?partial=maybe").status_code == 400


def test_exports_say_which_reports_are_partial(full: Client) -> None:
    upload(full, PARTIAL, PARTIAL_TLS)
    text = full("GET", "/v1/reports/dmarc?format=csv&partial=true").text
    (row,) = csv.DictReader(text.splitlines())
    assert (row["partial"], row["skippedRecords.count"]) == ("True", "2")
    assert json.loads(row["skippedRecords.reasons"]) == {"bad_source_ip": 1, "bad_number": 1}
    lines = full("GET", "/v1/reports/tls-rpt?format=ndjson").text.splitlines()
    assert sorted(json.loads(line)["partial"] for line in lines) == [False, True]
    for path, expected in (
        ("dmarc/records?domain=acme.test&reporter=odd.test", ["True"]),
        ("tls-rpt/records?domain=acme.test", ["True", "False"]),
    ):
        text = full("GET", f"/v1/reports/{path}&format=csv").text
        assert [row["report.partial"] for row in csv.DictReader(text.splitlines())] == expected


def test_analytics_say_how_many_reports_are_partial(full: Client) -> None:
    routes = ("dmarc", "sources", "readiness", "reporters", "tls-rpt")
    for expected in (0, 1):
        for route in routes:
            answer = full.data("GET", f"/v1/reports/analytics/{route}?domain=acme.test")
            assert answer["partialReports"] == expected, route
        body = {"domain": "acme.test", "policy": {"p": "reject"}}
        answer = full.data("POST", "/v1/reports/analytics/simulate", json=body)
        assert answer["partialReports"] == expected
        upload(full, PARTIAL, PARTIAL_TLS)
    earlier = "domain=acme.test&to=2020-01-01T00:00:00Z"
    for route in routes:
        answer = full.data("GET", f"/v1/reports/analytics/{route}?{earlier}")
        assert answer["partialReports"] == 0


def test_readiness_counts_trusted_partial_reports_only(full: Client) -> None:
    ingest_files.store(full.account_id, PARTIAL, received_via="http")
    processor.run([])
    for route, expected in (("dmarc", 1), ("readiness", 0)):
        answer = full.data("GET", f"/v1/reports/analytics/{route}?domain=acme.test")
        assert answer["partialReports"] == expected


def test_file_of_a_partial_report_is_reprocessed(full: Client) -> None:
    upload(full, PARTIAL)
    (report,) = full.data("GET", "/v1/reports/dmarc?partial=true")
    path = f"/v1/reports/files/{report['reportFileId']}/reprocess"
    refused = full("POST", path)
    assert refused.status_code == 409
    assert "Nothing has changed" in refused.json["error"]["message"]
    read_by_earlier_version()
    assert full.data("POST", path, 202)["status"] == "received"
    processor.run([])
    assert full.data("GET", "/v1/reports/dmarc?partial=true") == [report]


def test_failure_reports_have_no_private_data(full: Client) -> None:
    (report,) = full.data("GET", "/v1/reports/failure?sourceIp=203.0.113.66")
    assert report["id"].startswith("flr_")
    assert (report["reportedDomain"], report["deliveryResult"]) == ("acme.test", "reject")
    assert full.data("GET", f"/v1/reports/failure/{report['id']}") == report
    assert not any(word in json.dumps(report) for word in ("victim", "bounce", "Good day"))


@pytest.mark.parametrize("how", ["format", "accept"])
def test_lists_can_be_exported_as_csv_and_ndjson(full: Client, how: str) -> None:
    path = "/v1/reports/dmarc"
    if how == "format":
        table, lines = full("GET", f"{path}?format=csv"), full("GET", f"{path}?format=ndjson")
    else:
        table = full("GET", path, headers={"Accept": "text/csv"})
        lines = full("GET", path, headers={"Accept": "application/x-ndjson"})
    assert table.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert table.headers["Content-Disposition"] == 'attachment; filename="dmarc-reports.csv"'
    items = [json.loads(line) for line in lines.data.splitlines()]
    assert items == full.data("GET", path)
    assert [row["policy.p"] for row in rows(table)] == ["reject", "reject"]
    assert [row["reportId"] for row in rows(table)] == ["second", "first"]
    assert rows(table)[0].keys() >= {"policy.discoveryMethod", "messages", "beginAt"}


def test_export_is_not_limited_to_a_page(full: Client) -> None:
    many = [record(ip=f"192.0.2.{i % 250}", count=i + 1) for i in range(1500)]
    upload(full, dmarc_xml(report_id="many", records=many))
    (report,) = full.data("GET", "/v1/reports/dmarc?reportId=many")
    response = full("GET", f"/v1/reports/dmarc/{report['id']}/records?format=csv")
    assert [int(row["count"]) for row in rows(response)] == list(range(1, 1501))
    assert json.loads(rows(response)[0]["spfResults"])[0]["domain"] == "acme.test"


def test_too_large_export_is_refused(full: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.services.reports.exports.MAX_ROWS", 1)
    response = full("GET", "/v1/reports/dmarc?format=csv")
    assert response.status_code == 400
    assert response.json["error"]["details"][0]["code"] == "too_many_rows"
    assert full("GET", "/v1/reports/dmarc?format=csv&reportId=first").status_code == 200


@pytest.mark.parametrize("start", ["=", "+", "-", "@", ";", "\uff1d"])
def test_cell_is_never_a_formula(full: Client, start: str) -> None:
    text = f"{start}cmd|' /C calc'!A0"
    upload(full, dmarc_xml(report_id=text, org="evil.test"))
    table = full("GET", "/v1/reports/dmarc?format=csv&reporter=evil.test")
    assert rows(table)[0]["reportId"] == f"'{text}"
    (line,) = full("GET", "/v1/reports/dmarc?format=ndjson&reporter=evil.test").data.splitlines()
    assert json.loads(line)["reportId"] == text


def test_every_csv_cell_is_quoted(full: Client) -> None:
    header, *lines = full("GET", "/v1/reports/dmarc?format=csv").get_data(as_text=True).splitlines()
    for line in (header, *lines):
        assert line.startswith('"')
        assert line.endswith('"')
        assert len(next(csv.reader([line]))) == line.count('","') + 1
