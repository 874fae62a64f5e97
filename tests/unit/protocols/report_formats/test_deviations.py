"""Aggregate reports with deviations: what is read, what is skipped, and with which warning."""

import re
from collections.abc import Callable

import pytest

from app.protocols.report_formats import aggregate, deviations
from app.protocols.report_formats.aggregate import AggregateReport, Reason
from app.protocols.report_formats.deviations import SkippedRecords
from app.protocols.report_formats.limits import ReportRejected
from tests.support.hostile_reports import RECORD, xml
from tests.support.report_cases import NOW


def parse(document: bytes) -> AggregateReport:
    return aggregate.parse(document, NOW)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\n", "192.0.2.7"),
        ("2001:0DB8:0:0::0001", "2001:db8::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::1"),
        ("192.0.2.7:25", "192.0.2.7"),
        ("[192.0.2.7]", "192.0.2.7"),
        ("[2001:DB8::1]:25", "2001:db8::1"),
        ("IPv6:2001:db8::1", "2001:db8::1"),
        ("[ipv6:2001:db8::1]", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("192.0.2.7/32", "192.0.2.7"),
    ],
)
def test_address_is_normalized(text: str, address: str) -> None:
    [record] = parse(xml(RECORD.replace(b"192.0.2.1", text.encode()))).records
    assert record.source_ip == address


@pytest.mark.parametrize(
    "text",
    [
        *("192.0.2", "192.0.2.256", "192.0.2.01", "a", "", "\u0661", "mail.shop.example"),
        *("192.0.2.1, 192.0.2.2", "192.0.2.0/24", "192.0.2.7:", "[192.0.2.7", "ipv6:", "::1%"),
    ],
)
def test_record_with_an_invalid_address_is_skipped(text: str) -> None:
    invalid = RECORD.replace(b"192.0.2.1", text.encode()).replace(b">1<", b">5<")
    report = parse(xml(RECORD + invalid + RECORD))
    assert [record.count for record in report.records] == [1, 1]
    assert report.skipped == SkippedRecords(1, 5, {"bad_source_ip": 1})
    assert report.warnings == ("records_skipped",)
    with pytest.raises(ReportRejected, match="bad_source_ip"):
        parse(xml(invalid))


@pytest.mark.parametrize(
    ("text", "count"),
    [
        *((" 7\n", 7), ("7.0", 7), ("1,024", 1_024), ("1,000,000", 1_000_000)),
        *(("1.000.000", 1_000_000), ("1 024", 1_024), ("1'000", 1_000), ("1\u202f024", 1_024)),
        *(("1,000", None), ("1.024", None), ("1,24", None), ("1.5", None), ("", None)),
        *(("-1", None), ("1_024", None), ("\u0661", None), ("1e3", None), ("7 mails", None)),
        *(("1,0000", None), ("1,024.000", None), ("9" * 13, None)),
    ],
)
def test_count_is_read_if_it_can_mean_only_one_number(text: str, count: int | None) -> None:
    report = parse(xml(RECORD + RECORD.replace(b">1<", f">{text}<".encode())))
    assert [record.count for record in report.records] == [1] if count is None else [1, count]
    assert report.skipped.reasons == ({"bad_number": 1} if count is None else {})
    assert report.skipped.messages == 0


NULL_RECORD = b"""<record><row><source_ip/><count>0</count><policy_evaluated><disposition/><dkim/>
<spf/></policy_evaluated></row><identifiers><header_from/></identifiers><auth_results/></record>"""


@pytest.mark.parametrize(
    "filler",
    [NULL_RECORD, NULL_RECORD.replace(b">0<", b"><"), b"<record/>", b"<record><row/></record>"],
)
def test_record_that_says_nothing_changes_nothing(filler: bytes) -> None:
    assert parse(xml(RECORD + filler)) == parse(xml(RECORD))


@pytest.mark.parametrize("records", [b"", NULL_RECORD, NULL_RECORD * 2])
def test_report_without_messages_is_read(records: bytes) -> None:
    report = parse(xml(records))
    assert (list(report.records), report.warnings, report.skipped.count) == ([], (), 0)


def test_unreadable_record_without_messages_is_not_skipped() -> None:
    record = RECORD.replace(b"192.0.2.1", b"unknown").replace(b">1<", b">0<")
    assert parse(xml(RECORD + record)).skipped == SkippedRecords()


@pytest.mark.parametrize(
    ("change", "reason", "messages"),
    [
        (lambda d: d.replace(b"<count>1</count>", b""), "missing_element", 0),
        (lambda d: d.replace(b">1<", b">1<a/>0<"), "bad_value", 0),
        (lambda d: d.replace(b"<count>", b"<count>2</count><count>"), "repeated_element", 0),
        (lambda d: d.replace(b"<row>", b"<row><source_ip>::1</source_ip>"), "repeated_element", 1),
        (
            lambda d: d.replace(b"<header_from>shop.example</header_from>", b""),
            "missing_element",
            1,
        ),
        (
            lambda d: d.replace(
                b"<identifiers>", b"<identifiers><header_from>b.example</header_from>"
            ),
            "repeated_element",
            1,
        ),
        (lambda d: d.replace(b"shop.example", b"a." * 600 + b"example"), "field_too_long", 1),
        (
            lambda d: d.replace(
                b"<auth_results/>", b"<auth_results>" + b"<dkim/>" * 1_001 + b"</auth_results>"
            ),
            "too_many_results",
            1,
        ),
        (lambda d: d.replace(b"<record>", b'<record xmlns="urn:x">'), "unknown_namespace", 0),
    ],
)
def test_unreadable_record_is_skipped_with_its_reason(
    change: Callable[[bytes], bytes], reason: str, messages: int
) -> None:
    report = parse(xml(RECORD + change(RECORD)))
    assert len(report.records) == 1
    assert report.skipped == SkippedRecords(1, messages, {reason: 1})
    with pytest.raises(ReportRejected) as rejected:
        parse(xml(change(RECORD)))
    assert (rejected.value.reason, bool(rejected.value.detail)) == (reason, True)


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        (b"<reason>sampled_out</reason>", Reason("sampled_out", None)),
        (b"<reason> Mailing_List <comment>x</comment></reason>", Reason("mailing_list", "x")),
        (b"<reason>\n<type>forwarded</type>\n</reason>", Reason("forwarded", None)),
        (b"<reason>by local policy</reason>", Reason("other", "by local policy")),
        (b"<reason>a<type>other</type></reason>", Reason("other", "a")),
    ],
)
def test_reason_may_be_the_text_of_its_element(reason: bytes, expected: Reason) -> None:
    [record] = parse(xml(RECORD.replace(b"</spf></p", b"</spf>" + reason + b"</p"))).records
    assert record.reasons == (expected,)


@pytest.mark.parametrize(
    ("element", "warning"),
    [
        *(("disposition", "disposition_missing"), ("dkim", "result_missing")),
        *(("spf", "result_missing"), ("auth_results", "auth_results_missing")),
        *(("org_name", "org_name_missing"), ("email", "email_missing"), ("p", "policy_missing")),
    ],
)
@pytest.mark.parametrize("is_empty", [True, False])
def test_missing_element_without_figures_is_a_warning(
    element: str, warning: str, is_empty: bool
) -> None:
    if element == "auth_results" and is_empty:
        return  # it may be empty
    pattern = rf"<{element}(/>|>[^<]*</{element}>)".encode()
    document, changes = re.subn(pattern, f"<{element}/>".encode() if is_empty else b"", xml())
    report = parse(document)
    assert changes == 1
    assert report.warnings == (warning,)
    [record] = report.records
    assert not (record.dkim and element == "dkim")


def test_long_report_id_is_shortened_and_stays_unique() -> None:
    ids = [
        parse(xml().replace(b"<report_id>1<", b"<report_id>" + b"x" * 300 + end + b"<")).report_id
        for end in (b"1", b"2")
    ]
    assert [len(report_id) for report_id in ids] == [255, 255]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("begin", "end", "warning"),
    [
        ("1767225600", "1767311999", ()),
        ("1767225600.123", "1767311999.9", ("date_format",)),
        ("1767225600000", "1767311999000", ("date_format",)),
        ("2026-01-01T00:00:00Z", "2026-01-01 23:59:59", ("date_format",)),
        ("2026-01-01T01:00:00.5+01:00", "2026-01-01T23:59:59+0000", ("date_format",)),
    ],
)
def test_date_is_read_in_other_formats(begin: str, end: str, warning: tuple[str, ...]) -> None:
    document = xml().replace(b"1767225600", begin.encode()).replace(b"1767311999", end.encode())
    report = parse(document)
    assert (report.begin, report.end, report.warnings) == (1767225600, 1767311999, warning)


@pytest.mark.parametrize("text", ["2026-01-01", "2026-13-01T00:00:00Z", "yesterday", "", "-1"])
def test_unclear_date_rejects_the_report(text: str) -> None:
    with pytest.raises(ReportRejected, match="bad_dates"):
        parse(xml().replace(b"1767225600", text.encode()))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (xml()[:-30], "not_well_formed"),  # ends within a record
        (xml() * 2, "several_reports"),
        (b"<reports>" + xml() * 2 + b"</reports>", "several_reports"),
        (RECORD + xml(), "not_a_report"),
        (xml() + RECORD, "not_well_formed"),
    ],
)
def test_report_is_rejected_if_a_repair_would_lose_records(document: bytes, reason: str) -> None:
    with pytest.raises(ReportRejected, match=reason):
        parse(document)


def test_empty_period_may_begin_one_second_after_its_end() -> None:
    report = parse(xml().replace(b"1767311999", b"1767225599"))
    assert (report.begin, report.end) == (1767225599, 1767225600)
    with pytest.raises(ReportRejected, match="bad_dates"):
        parse(xml().replace(b"1767311999", b"1767225598"))


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda d: b"\n" + d, ()),
        (lambda d: b"\n<?xml version='1.0'?>" + d, "blank_before_declaration"),
        (lambda d: b"<?xml version='1.0' encoding='utf-16'?>" + d, "encoding_mismatch"),
        (lambda d: d.replace(b">none</p>", b">maybe</p>"), "policy_unknown"),
        (lambda d: d.replace(b">none</d", b">bounced by a long rule</d"), "disposition_unknown"),
        (lambda d: d.replace(b">1</c", b">0</c"), "count_zero"),
        (lambda d: d.replace(b"<p>", b"<p>reject</p><p>"), "repeated_element"),
        (lambda d: d.replace(b">shop.example</h", b">a, b</h"), "header_from_invalid"),
        (lambda d: d.replace(b"</email>", b"<b>x</b></email>"), "nested_markup"),
        (lambda d: d.replace(b"<org_name>", b"<org_name>" + b"x" * 2_000), "text_truncated"),
        (lambda d: d.replace(b"<feedback>", b"<feedback x:a=1>"), "not_well_formed"),
        (lambda d: d.replace(b"<org_name>", b"<org_name>&uuml;"), "markup_in_text"),
        (lambda d: b"Dear all,\n" + d, "text_around_report"),
        (lambda d: d.replace(b"</feedback>", b""), "root_not_closed"),
    ],
)
def test_tolerated_deviation_is_a_warning(change: Callable[[bytes], bytes], warning: str) -> None:
    report = parse(change(xml()))
    assert report.warnings == ((warning,) if warning else ())
    assert all(warning in deviations.WARNINGS for warning in report.warnings)
    assert all(len(record.disposition) <= 16 for record in report.records)
