"""Aggregate reports: all fields, limits, namespaces, and the fast path."""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.protocols.report_formats import aggregate
from app.protocols.report_formats.aggregate import (
    AggregateReport,
    DkimResult,
    Reason,
    SpfResult,
    fast_path,
    schema,
)
from app.protocols.report_formats.aggregate import xml as aggregate_xml
from app.protocols.report_formats.aggregate.records import Records
from app.protocols.report_formats.aggregate.xml import Contents
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected
from tests.support.hostile_reports import RECORD, xml
from tests.support.report_cases import NOW, REPORTS

DOCUMENTS = [path.read_bytes() for path in sorted((REPORTS / "dmarc").glob("*.xml"))]
SMALL = [document for document in DOCUMENTS if len(document) < 5_000]

FULL = b"""<record><row><source_ip>2001:DB8::1</source_ip><count> 7 </count><policy_evaluated>
<disposition>None</disposition><dkim>PASS</dkim><spf>fail</spf><reason><type>Mailing_List</type>
<comment>a  b\n c</comment></reason><reason><type/><comment/></reason></policy_evaluated></row>
<identifiers><header_from>Shop.Example.</header_from><envelope_from/><envelope_to>MX.example
</envelope_to></identifiers><auth_results><dkim><domain>Shop.example</domain><selector>S1</selector>
<result>Pass</result><human_result>fine</human_result></dkim><dkim><result>none</result></dkim>
<spf><domain>b.example</domain><scope>helo</scope><result>softfail</result></spf></auth_results>
</record>"""


USUAL = b"""<record><row><source_ip>192.0.2.7</source_ip><count>7</count><policy_evaluated>
<disposition>none</disposition><dkim>pass</dkim><spf>fail</spf><reason><type>other</type><comment>
</comment></reason><reason><type>forwarded</type></reason></policy_evaluated></row><identifiers>
<envelope_from/><header_from>shop.example</header_from></identifiers><auth_results><spf><domain>
b.example</domain><result>pass</result></spf><dkim><domain>shop.example</domain><selector>s1
</selector><result>pass</result><human_result>\xc3\xa9</human_result></dkim></auth_results></record>"""


def parse(document: bytes, limits: Limits = LIMITS) -> AggregateReport:
    return aggregate.parse(document, NOW, limits)


def test_record_has_all_fields() -> None:
    [record] = parse(xml(FULL)).records
    assert record == (
        *("2001:db8::1", 7, "none", True, False, "shop.example", "", "mx.example"),
        (Reason("mailing_list", "a b c"),),
        (DkimResult("shop.example", "S1", "pass"), DkimResult("", None, "none")),
        (SpfResult("b.example", "helo", "softfail"),),
    )


def test_order_of_records_is_preserved() -> None:
    records = b"".join(RECORD.replace(b">1<", b">%d<" % number) for number in range(2_000))
    assert [record.count for record in parse(xml(records)).records] == list(range(2_000))


@pytest.mark.parametrize(
    "element",
    [
        *("report_id", "begin", "end", "domain", "source_ip", "count", "header_from"),
    ],
)
def test_missing_required_element_rejects_report(element: str) -> None:
    head, marker, records = xml().partition(b"<record>")
    tag = re.compile(rf"<(/?){element}(/?)>".encode())
    before = tag.sub(rb"<\1other\2>", head)
    document = before + marker + (tag.sub(rb"<\1other\2>", records) if before == head else records)
    with pytest.raises(ReportRejected, match=f"missing_element.*{element}"):
        parse(document)


@pytest.mark.parametrize(
    ("document", "limits", "reason"),
    [
        (xml(RECORD * 3), Limits(records=2), "too_many_records"),
        (xml(), Limits(xml_depth=4), "too_deep"),
        (
            xml(RECORD.replace(b"<row>", b"<row><x/><x/>")),
            Limits(xml_passed_over=1),
            "too_many_ele",
        ),
        (xml(policy=b"<fo>" + b"0" * 999 + b"</fo>"), Limits(token=400), "token_too_long"),
        (
            b"<?xml version='1.0' encoding='iso-8859-1'?>" + xml(),
            Limits(xml_recoded=9),
            "too_large",
        ),
        (xml(), Limits(span_seconds=3600), "bad_dates"),
    ],
)
def test_exceeding_a_limit_rejects_the_file(document: bytes, limits: Limits, reason: str) -> None:
    if reason != "too_deep":
        assert parse(document).records
        with pytest.raises(ReportRejected, match=reason):
            parse(document, limits)


def test_elements_within_extensions_are_ignored() -> None:
    decoy = b"<extension><record><row><count>9</count></row></record></extension>"
    foreign = b'<x:count xmlns:x="urn:x">9</x:count>'
    [record] = parse(xml(decoy + RECORD.replace(b"<row>", b"<row>" + foreign))).records
    assert record.count == 1


@pytest.mark.parametrize(
    "namespace",
    [
        *schema.NAMESPACES,
        *("https://dmarc.org/dmarc-xml/0.1", "http://dmarc.org/dmarc-xml/0.1/"),
        *("http://www.dmarc.org/dmarc-xml/0.2", "urn:ietf:params:xml:ns:dmarc-2.1"),
    ],
)
@pytest.mark.parametrize("prefixed", [True, False])
def test_dmarc_namespaces_are_equivalent_to_none(namespace: str, prefixed: bool) -> None:
    document = xml(RECORD * 2)
    if prefixed:
        document = document.replace(b"</", b"<\0").replace(b"<", b"<d:").replace(b"<d:\0", b"</d:")
    declared = f'feedback xmlns{":d" if prefixed else ""}="{namespace}"'.encode()
    report = parse(document.replace(b"feedback", declared, 1))
    assert report.namespace == namespace
    assert replace(report, namespace=None) == parse(xml(RECORD * 2))


def valid_records(document: bytes) -> list[object]:
    """The result of the XML parser, or the reason for rejection."""
    records = Records(LIMITS)
    return _read(lambda: aggregate_xml.read(document, records.add), records)


def fast(document: bytes) -> list[object]:
    """The result of the fast path.

    raises  Unusual
    """
    records = Records(LIMITS)
    return _read(lambda: fast_path.read(document, records), records)


def _read(read: Callable[[], Contents], records: Records) -> list[object]:
    try:
        contents = read()
    except ReportRejected as refused:
        return [refused.reason]
    skipped = (records.skipped.all(), records.warnings.all(), contents.tolerated)
    return [contents.head, contents.namespace, contents.errors, skipped, *records.all]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_fast_path_agrees_with_xml_parser(document: bytes) -> None:
    try:
        result = fast(document)
    except fast_path.NotSupported:
        assert b"<!" in document
        return
    assert result == valid_records(document)


def test_usual_records_do_not_need_xml_parser() -> None:
    records = Records(LIMITS)
    usual = USUAL * 3 + b"\n" + USUAL.replace(b"><", b">\r\n\t<")
    document = usual + RECORD + USUAL
    assert fast_path.FastReader(records, LIMITS).read(document, 0) == len(usual)
    assert records.all == list(parse(xml(usual)).records)


@pytest.mark.parametrize(
    "root",
    [
        b"<feedback>",
        b'<?xml version="1.0" encoding="UTF-8" ?>\n<feedback>\n <version>1.0</version>',
        b'<?xml version="1.0"?>\r\n<feedback xmlns:xsd="http://www.w3.org/2001/XMLSchema" '
        b'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">',
        b'<feedback xmlns="urn:ietf:params:xml:ns:dmarc-2.0">',
    ],
)
def test_usual_head_does_not_need_xml_parser(root: bytes) -> None:
    document = xml(USUAL, policy=b"<sp/><pct>100</pct>").replace(b"<feedback>", root)
    head, end = fast_head(document)
    assert document[end:].startswith(USUAL)
    assert [head.head, head.namespace] == valid_records(document)[:2]


@pytest.mark.parametrize(
    "document",
    [
        xml(about=b"<error>x</error>"),
        xml(about=b"<note>x</note>"),
        xml(about=b"<email>b@a.example</email>"),
        xml(about=b"<date_range><begin>1</begin></date_range>"),
        xml(about=b"<generator>&amp;</generator>"),
        xml(about=b"<generator>" + b"x" * (LIMITS.report_id + 1) + b"</generator>"),
        xml(about=b"<generator>\xff</generator>"),
        xml(policy=b"<!-- note --><sp>none</sp>"),
        xml(policy=b"<date_range><begin>1</begin></date_range>"),
        xml(policy=b"<email>b@a.example</email>"),
        xml().replace(b"<feedback>", b'<feedback xmlns="urn:x">'),
        xml().replace(b"<feedback>", b"<feedback><!-- note -->"),
        xml().replace(b"<date_range>", b"<date_range><date_range>"),
    ],
)
def test_unusual_head_is_read_by_xml_parser(document: bytes) -> None:
    contents, end = fast_head(document)
    assert (end, contents.head, contents.namespace) == (0, {}, None)
    assert fast(document) == valid_records(document)


def fast_head(document: bytes) -> tuple[Contents, int]:
    """The texts that the fast path reads before the records, and their end."""
    records = Records(LIMITS)
    contents = Contents(records.add, LIMITS)
    return contents, fast_path.FastReader(records, LIMITS).read_head(document, contents)


@pytest.mark.parametrize(
    "tail", [b"<!-- note -->", b"<?note?>", b"\n\n", b"<extension/>", b"x", b"\0"]
)
def test_what_follows_usual_records_is_checked(tail: bytes) -> None:
    for document in (xml(USUAL + tail), xml(USUAL) + tail, xml(USUAL + tail + USUAL)):
        assert fast(document) == valid_records(document)


def test_many_unusual_records_are_read_by_xml_parser() -> None:
    document = xml(RECORD.replace(b"<row>", b"<row><x/>") * 1_000)
    assert fast(document) == valid_records(document)


@pytest.mark.parametrize(
    "document",
    [
        b"<?xml version='1.0'?>" + USUAL + xml(),
        xml() + USUAL,
        xml().replace(b"</feedback>", USUAL),
        xml(b"<extension>" + USUAL),
        xml(b"<extension>" + USUAL + b"</extension>" + USUAL),
        xml(b"</feedback>" + USUAL),
        xml(b"<exten" + USUAL + b"sion/>"),
        xml(b'<extension x="a>' + USUAL + b'"/>'),
    ],
)
def test_usual_record_counts_only_in_record_position(document: bytes) -> None:
    with suppress(fast_path.NotSupported):
        assert fast(document) == valid_records(document)


@pytest.mark.parametrize("declaration", [b"", b'<?xml version="1.0" encoding="UTF-8"?>\n'])
@pytest.mark.parametrize(
    ("opening", "closing"),
    [(b"<!-- ", b" -->"), (b"<!-- ?> ", b" -->"), (b"<?note ", b"?>"), (b"?> <!-- ", b" -->")],
)
def test_records_in_comments_and_processing_instructions_are_not_read(
    declaration: bytes, opening: bytes, closing: bytes
) -> None:
    report = xml(USUAL).partition(b"<feedback")
    root = b"<feedback" + report[2].partition(b">")[0] + b">"
    rest = report[2].partition(b">")[2]
    document = declaration + root + opening + USUAL + closing + rest
    with pytest.raises(fast_path.NotSupported):
        fast(document)
    assert len(parse(document).records) == 1


PIECES = [
    *(
        b"<record>",
        b"</record>",
        b"</record >",
        b"<row>",
        b"</row>",
        b"<count>",
        b"</count>",
        b"<a>",
    ),
    *(b"</a>", b"<extension>", b"</extension>", b"&amp;", b"&#60;", b"&x;", b"]]>", b">", b"<"),
    *(
        b"\xee\x80\x801",
        b"\xee\x80\x80",
        b"\r\n",
        b" ",
        b"\0",
        b"\xff",
        "é".encode(),
        b"0",
        b"\x7f",
    ),
    *(b"<!--", b"-->", b"<?a ", b"?>"),
    *(b"<!---->", b"<![CDATA[1]]>", b"<?a?>", b' xmlns="urn:x"', b"\xef\xbf\xbf", b"<reason/>"),
    *(b"<date_range>", b"</date_range>", b"<begin>7</begin>", b"<error>x</error>", b"<p/>"),
    *(b"<report_metadata>", b"</policy_published>", b"<version>2.0</version>", b"<feedback>"),
    *(RECORD, FULL, USUAL, b"<dkim>", b"</dkim>", b"<spf/>", b"<comment>x</comment>", b"\n"),
]


@settings(
    max_examples=4 * settings().max_examples,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
@given(
    st.sampled_from(
        [*SMALL, xml(USUAL * 3), xml(FULL + USUAL + RECORD), xml(USUAL), xml(b"\n" + USUAL)]
    ),
    st.lists(
        st.tuples(st.integers(0, 4_000), st.sampled_from(PIECES), st.integers(0, 30)), max_size=4
    ),
)
def test_fast_path_agrees_with_xml_parser_on_mutated_reports(
    document: bytes, changes: list[tuple[int, bytes, int]]
) -> None:
    for position, piece, gone in changes:
        position = position % (len(document) + 1)
        document = document[:position] + piece + document[position + gone :]
    try:
        result = fast(document)
    except fast_path.NotSupported:
        return
    if len(result) > 1:
        assert result == valid_records(document)
