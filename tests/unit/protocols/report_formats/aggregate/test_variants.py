"""Random spellings, encodings and noise around a report never change what is counted.

Each report is made from a list of rows, then written in a random way that keeps its figures, with
records that cannot be read in between. The messages that are read and the messages that are skipped
are together all messages of the report.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.protocols.report_formats import aggregate, deviations
from app.protocols.report_formats.aggregate import figures
from tests.support.report_cases import NOW

BEGIN, END = 1_795_392_000, 1_795_478_399
NAME = "Bücher & Söhne"


@dataclass(frozen=True, slots=True)
class Row:
    """A record of a report; ``is_readable`` is False if it has no usable address."""

    address: int
    count: int
    dkim: bool
    is_readable: bool = True


rows = st.lists(
    st.builds(
        Row,
        address=st.integers(1, 250),
        count=st.integers(1, 5_000_000),
        dkim=st.booleans(),
        is_readable=st.booleans(),
    ),
    min_size=1,
    max_size=5,
).filter(lambda rows: any(row.is_readable for row in rows))

ADDRESSES: Sequence[Callable[[str], str]] = (
    lambda ip: ip,
    lambda ip: f" {ip}\n",
    lambda ip: f"{ip}:25",
    lambda ip: f"[{ip}]",
    lambda ip: f"::ffff:{ip}",
    lambda ip: f"IPv6:::FFFF:{ip}",
    lambda ip: f"{ip}/32",
)
COUNTS: Sequence[Callable[[int], str]] = (
    str,
    lambda count: f" {count} ",
    lambda count: f"{count}.0",
    lambda count: f"{count:,}".replace(",", " "),
    lambda count: f"{count:,}" if count % 1000 else str(count),
)
NOISE = (
    *("", "\n", "<extension><count>9</count></extension>", "<note>a &amp; b</note>", "<!-- x -->"),
    *("<?pi x?>", "\x07", "<record/>", "text & text", "a < b", "<who@shop.example>", "<br>"),
    "<record><row><source_ip/><count>0</count></row><auth_results/></record>",
)
ENCODINGS = ("utf-8", "utf8", "iso-8859-1", "latin1", "Windows-1252", "iso-8859-15", "gb18030")
ROOTS = (
    ("<feedback>", "</feedback>"),
    ('<feedback xmlns="https://dmarc.org/dmarc-xml/0.1/">', "</feedback>"),
    ('<feedback xmlns="urn:x">', "</feedback >"),
    ('<Feedback a="1">', "</Feedback>"),
    ("<wrapper><feedback>", "</feedback></wrapper>"),
    ('<xs:schema xmlns:xs="urn:s">\n<feedback>', "</feedback>"),
    ("<!DOCTYPE feedback>\n<feedback>", "</feedback>\n-- \nChecked."),
)
BEFORE = ("", "\n", "\ufeff", "\ufeff\ufeff", "\r\n\r\n")


def record(row: Row, address: str, count: str, noise: str) -> str:
    return (
        f"<record>{noise}<row><source_ip>{address if row.is_readable else 'mail.test'}</source_ip>"
        f"<count>{count}</count><policy_evaluated><disposition>none</disposition>"
        f"<dkim>{'pass' if row.dkim else 'fail'}</dkim><spf>fail</spf></policy_evaluated></row>"
        f"<identifiers><header_from>Shop.Example.</header_from></identifiers></record>"
    )


@st.composite
def documents(draw: st.DrawFn) -> tuple[list[Row], bytes]:
    """The rows of a report, and the report written in a random way."""
    content = draw(rows)
    noise = st.sampled_from(NOISE)
    records = [
        record(
            row,
            draw(st.sampled_from(ADDRESSES))(f"192.0.2.{row.address}"),
            draw(st.sampled_from(COUNTS))(row.count),
            draw(noise),
        )
        + draw(noise)
        for row in draw(st.permutations(content))
    ]
    opening, closing = draw(st.sampled_from(ROOTS))
    encoding = draw(st.sampled_from(ENCODINGS))
    text = (
        f'{draw(st.sampled_from(BEFORE))}<?xml version="1.0" encoding="{encoding}"?>{opening}'
        f"<report_metadata><org_name>{NAME}</org_name><report_id>1</report_id><date_range>"
        f"<begin>{BEGIN}</begin><end>{END}.5</end></date_range></report_metadata>"
        f"<policy_published><domain>SHOP.example</domain><p>none</p></policy_published>"
        f"{''.join(records)}{closing}"
    )
    return content, text.encode(encoding, "ignore")


@settings(database=None, suppress_health_check=list(HealthCheck))
@given(documents())
def test_figures_do_not_depend_on_how_the_report_is_written(
    document: tuple[list[Row], bytes],
) -> None:
    content, raw = document
    report = aggregate.parse(raw, NOW)
    readable = [row for row in content if row.is_readable]
    skipped = [row for row in content if not row.is_readable]
    expected = [
        (f"192.0.2.{row.address}", row.count, "none", row.dkim, False, "shop.example")
        for row in readable
    ]
    assert figures.digest(report.records) == figures.digest(expected)
    assert report.skipped.count == len(skipped)
    assert report.skipped.messages == sum(row.count for row in skipped)
    assert (report.begin, report.end) == (BEGIN, END)
    assert report.org_name == NAME
    assert set(report.warnings) <= set(deviations.WARNINGS)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_unicode_encodings_are_detected_without_a_declaration(encoding: str) -> None:
    raw = (
        "<feedback><report_metadata><org_name>邮件</org_name><report_id>1</report_id><date_range>"
        f"<begin>{BEGIN}</begin><end>{END}</end></date_range></report_metadata><policy_published>"
        "<domain>shop.example</domain></policy_published></feedback>"
    ).encode(encoding)
    assert aggregate.parse(raw, NOW).org_name == "邮件"
