"""Records are read from zone files, octoDNS YAML and single values, and errors name their lines."""

from collections.abc import Callable, Mapping
from pathlib import Path

import dns.zone
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.ports.dns import Caa, Mx, Rdata
from app.protocols.zone_files import (
    MAX_RECORDS,
    InvalidData,
    InvalidRecords,
    ZoneRecord,
    master_files,
    octodns,
    single_values,
)
from demo.samples import ZONES
from tests.support.zones import rdata_from_dnspython

DOMAIN = "example.com"
HEAD = "$TTL 300\n@ IN SOA ns1 hostmaster 1 3600 900 1209600 300\n"


def records(text: str) -> list[tuple[str, str, int, tuple[str, ...]]]:
    parsed = master_files.parse(text, DOMAIN)
    return [(record.name, record.type, record.ttl, record.fields) for record in parsed]


def errors(
    text: str, parse: Callable[[str, str], object] = master_files.parse
) -> list[tuple[int, str]]:
    with pytest.raises(InvalidRecords) as raised:
        parse(text, DOMAIN)
    return list(raised.value.errors)


BY_TYPE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "A": ("192.0.2.1", ("192.0.2.1",)),
    "AAAA": ("2001:DB8:0::1", ("2001:db8::1",)),
    "MX": ("10 mx", ("10", "mx.example.com")),
    "NS": ("ns1.example.net.", ("ns1.example.net",)),
    "CNAME": ("@", ("example.com",)),
    "PTR": ("Host.Example.NET.", ("host.example.net",)),
    "TXT": (r'"v=spf1 \"a\" " "b;c" d\;e \195\188 \255', (r'v=spf1 "a" b;cd;eü\xff',)),
    "SPF": ('"v=spf1 -all"', ("v=spf1 -all",)),
    "CAA": ('0 issue "ca.example; a=b"', ("0", "issue", "ca.example; a=b")),
    "TLSA": ("3 1 1 ( AB CD\n 01 )", ("3", "1", "1", "abcd01")),
    "SOA": (
        "ns1 a\\.b 7 1h 15m 2w 5",
        ("ns1.example.com", "a\\.b", "7", "3600", "900", "1209600", "5"),
    ),
    "SRV": ("0 5 5060 sip", ("0", "5", "5060", "sip")),
    "DNSKEY": ("257 3 13 abc=", ("257", "3", "13", "abc=")),
}


@pytest.mark.parametrize("rdtype", BY_TYPE)
def test_data_of_each_type_is_read(rdtype: str) -> None:
    text, fields = BY_TYPE[rdtype]
    assert records(f"x 60 IN {rdtype} {text}") == [("x.example.com", rdtype, 60, fields)]


def test_owner_origin_and_ttl_are_inherited() -> None:
    text = (
        "a 60 A 192.0.2.1\n  AAAA 2001:db8::1\n$TTL 1h30m\nb IN 5 A 192.0.2.2\n\tIN TXT t ; note\n"
        "$ORIGIN sub\n@ A 192.0.2.3\nc.sub.example.com. A 192.0.2.4\n* CNAME @\n"
    )
    assert [(name, rdtype, ttl) for name, rdtype, ttl, _ in records(text)] == [
        ("a.example.com", "A", 60),
        ("a.example.com", "AAAA", 60),
        ("b.example.com", "A", 5),
        ("b.example.com", "TXT", 5400),
        ("sub.example.com", "A", 5400),
        ("c.sub.example.com", "A", 5400),
        ("*.sub.example.com", "CNAME", 5400),
    ]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("$INCLUDE other.zone\n", 1, "$INCLUDE is not supported"),
        ("\n$generate 1-9 a$ A 192.0.2.$\n", 2, "$GENERATE is not supported"),
        ("$FOO 1\n", 1, "unknown directive"),
        ("$TTL x\n", 1, "is not a time in seconds"),
        ("$TTL 99999999999\n", 1, "is not a time in seconds"),
        ("$TTL 1h1\n", 1, "is not a time in seconds"),
        ("a A 192.0.2.1\nb.example.net. A 192.0.2.2", 2, "b.example.net is not in example.com"),
        ("www.badexample.com. A 192.0.2.2", 1, "is not in example.com"),
        (". NS a.", 1, "the root is not in example.com"),
        ("  A 192.0.2.1", 1, "no name before it"),
        ("a A 192.0.2", 1, "is not an IPv4 address"),
        ("a AAAA 192.0.2.1", 1, "is not an IPv6 address"),
        ("a MX mx", 1, "a MX record has 2 fields, not 1"),
        ("a MX 65536 mx", 1, "is not a number from 0 to 65535"),
        ("a TXT", 1, "at least one string"),
        ("a TXT " + "x" * 256, 1, "longer than 255 bytes"),
        (r"a TXT \256", 1, "is not a byte"),
        ('a TXT "x', 1, "a quoted string has no end"),
        ("a TXT x\\", 1, "escapes nothing"),
        ("a SOA ( a b\nb A 192.0.2.1", 1, "a ( has no )"),
        ("a A 192.0.2.1 )", 1, "no ( before the )"),
        ("a FOO x", 1, "unknown record type 'FOO'"),
        ("a 300", 1, "no record type"),
        ("a CH TXT x", 1, "class CH is not supported"),
        ("a ALIAS b", 1, "ALIAS is not a DNS record type"),
        ("a DNAME b", 1, "DNAME records are not supported"),
        (r"a TXT \# 2 0161", 1, "in its own form"),
        ("a TLSA 3 1 1 abc", 1, "hexadecimal"),
        ("a CNAME b\na CNAME c", 2, "more than one CNAME record"),
        ("ü A 192.0.2.1", 1, "in their ASCII form"),
        ("a..b A 192.0.2.1", 1, "a label that is empty"),
        ("x" * 64 + " A 192.0.2.1", 1, "longer than 63"),
        ("\u00a0a A 192.0.2.1", 1, "unexpected character"),
        ("; nothing\n\n", 1, "there are no records"),
    ],
)
def test_error_names_the_line(text: str, line: int, part: str) -> None:
    [(at, message)] = errors(text)
    assert at == line
    assert part in message


def test_all_errors_are_named_up_to_a_limit() -> None:
    assert [line for line, _ in errors("a A x\nb A 192.0.2.1\nc A y\n")] == [1, 3]
    assert len(errors("a A x\n" * 1000)) == 20


def test_number_of_records_is_limited() -> None:
    lines = [f"a{index} A 192.0.2.1\n" for index in range(MAX_RECORDS + 1)]
    assert len(records("".join(lines[:-1]))) == MAX_RECORDS
    [(line, message)] = errors("".join(lines))
    assert line == MAX_RECORDS + 1
    assert "more than 5000 records" in message


def test_duplicate_records_count_once() -> None:
    assert len(records("a 5 A 192.0.2.1\na 9 A 192.0.2.1\n")) == 1


@pytest.mark.parametrize("path", sorted(ZONES.glob("*.*.zone")), ids=lambda path: path.stem)
def test_demo_zones_are_read_as_dnspython_reads_them(path: Path) -> None:
    text, domain = path.read_text(), path.stem
    assert texts(master_files.parse(text, domain)) == dnspython_texts(text, domain)


def texts(parsed: tuple[ZoneRecord, ...]) -> set[tuple[str, str, int, str]]:
    """The records of the types whose data checks read."""
    return {
        (record.name, record.type, record.ttl, " ".join(record.fields))
        for record in parsed
        if record.type not in ("SOA", "DNSKEY", "DS")
    }


def dnspython_texts(text: str, domain: str) -> set[tuple[str, str, int, str]]:
    """The same, as the parser of dnspython reads them."""
    zone = dns.zone.from_text(text, origin=domain, relativize=False, check_origin=False)
    return {
        (
            name.to_text(omit_final_dot=True),
            rdata.rdtype.name,
            ttl,
            _plain(rdata_from_dnspython(rdata)),
        )
        for name, ttl, rdata in zone.iterate_rdatas()
        if rdata.rdtype.name not in ("SOA", "DNSKEY", "DS")
    }


def _plain(value: Rdata) -> str:
    if isinstance(value, Caa):
        return f"{value.flags} {value.tag} {value.value}"
    return str(value).removesuffix(".") if isinstance(value, Mx) else str(value)


@given(st.binary(max_size=600))
def test_any_text_is_read_as_dnspython_reads_it(data: bytes) -> None:
    chunks = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
    line = "a 60 IN TXT " + " ".join(
        '"' + "".join(f"\\{octet:03}" for octet in chunk) + '"' for chunk in chunks
    )
    [record] = master_files.parse(line, DOMAIN)
    zone = dns.zone.from_text(line, origin=DOMAIN, relativize=False, check_origin=False)
    [(_, _, rdata)] = zone.iterate_rdatas()
    assert record.fields == (rdata_from_dnspython(rdata),)


@given(st.text(alphabet='a1 .@$;()"\\\n\t*:-ü', max_size=60))
def test_any_text_is_read_or_refused_with_lines(text: str) -> None:
    lines = [1]
    try:
        lines += [record.line for record in master_files.parse(text, DOMAIN)]
    except InvalidRecords as error:
        lines += [line for line, _ in error.errors]
    assert len(lines) > 1
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)


# Changes in lines with signs


def test_signs_add_remove_and_replace() -> None:
    text = "+ a TXT new\n- b TXT old\n- c TXT\nd A 192.0.2.1\nd A 192.0.2.2\n"
    changes = master_files.parse_changes(text, DOMAIN)
    assert [(change.action, change.name, change.record is None) for change in changes] == [
        ("add", "a.example.com", False),
        ("remove", "b.example.com", False),
        ("remove", "c.example.com", True),
        ("replace", "d.example.com", False),
        ("replace", "d.example.com", False),
    ]
    assert [change.line for change in changes] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("+\n", "no record after the sign"),
        ("+ a TXT", "at least one string"),
        ("- a.example.net. TXT", "is not in example.com"),
        ("\n\n", "there are no records"),
    ],
)
def test_error_in_a_change_is_named(text: str, part: str) -> None:
    [(_, message)] = errors(text, master_files.parse_changes)
    assert part in message


# octoDNS

OCTODNS = r"""---
'':
  - ttl: 300
    type: MX
    values:
      - exchange: mx.example.com.
        preference: 10
      - {exchange: mx2.example.com., preference: 20}
  - type: TXT
    values: [v=spf1 -all, 'a\;b', '"one" "two"']
  - type: CAA
    value: {flags: 0, tag: issue, value: ca.example}
www: {type: A, value: 192.0.2.1, octodns: {cloudflare: {proxied: false}}}
_25._tcp.mx:
  type: TLSA
  value:
    certificate_usage: 3
    selector: 1
    matching_type: 1
    certificate_association_data: ABCD
alias: {type: CNAME, value: www.example.com.}
_sip._tcp: {type: SRV, value: {priority: 0, weight: 5, port: 5060, target: sip.example.com.}}
"""


def test_octodns_records_of_each_type_are_read() -> None:
    parsed = octodns.parse(OCTODNS, DOMAIN)
    read = [
        (record.name.removesuffix("example.com"), record.type, record.fields) for record in parsed
    ]
    assert read[:-1] == [
        ("", "MX", ("10", "mx.example.com")),
        ("", "MX", ("20", "mx2.example.com")),
        ("", "TXT", ("v=spf1 -all",)),
        ("", "TXT", ("a;b",)),
        ("", "TXT", ("onetwo",)),
        ("", "CAA", ("0", "issue", "ca.example")),
        ("www.", "A", ("192.0.2.1",)),
        ("_25._tcp.mx.", "TLSA", ("3", "1", "1", "abcd")),
        ("alias.", "CNAME", ("www.example.com",)),
    ]
    assert read[-1][:2] == ("_sip._tcp.", "SRV")
    assert [record.ttl for record in parsed[:3]] == [300, 300, 3600]


@pytest.mark.parametrize(
    ("text", "line", "part"),
    [
        ("a: &x {type: A, value: *x}", 1, "anchors and aliases"),
        ("- a", 1, "must be a mapping"),
        ("a: b", 1, "a record must be a mapping"),
        ("a:\n  type: A\n  geo: {}\n", 2, "'geo' is not supported"),
        ("a:\n  type: A\n", 2, "either value or values"),
        ("a: {type: A, value: 1, values: [1]}", 1, "either value or values"),
        ("a: {value: 192.0.2.1}", 1, "type is missing"),
        ("a: {type: [], value: 192.0.2.1}", 1, "type must be a text"),
        ("a:\n  type: A\n  values:\n  - 192.0.2.1\n  - x\n", 5, "is not an IPv4 address"),
        ("a: {type: CNAME, value: www}", 1, "with a final dot"),
        ("a: {type: MX, value: 10 mx.}", 1, "must be a mapping"),
        ("a: {type: MX, value: {preference: 1}}", 1, "exchange is missing"),
        ("a: {type: MX, value: {preference: 1, exchange: mx}}", 1, "with a final dot"),
        ("a: {type: MX, value: {preference: 1, exchange: mx., x: 1}}", 1, "is not a field"),
        ("a: {type: A, value: 192.0.2.1}\na: {type: A, value: 192.0.2.2}", 2, "is repeated"),
        ("a.b.example.net.: {type: A, value: 192.0.2.1}", 1, "is not in example.com"),
        ("a: {type: A, ttl: soon, value: 192.0.2.1}", 1, "is not a time in seconds"),
        ("a: [}", 1, "not valid YAML"),
        ("a: {type: A, value: 192.0.2.1}\n---\nb: {}", 2, "more than one document"),
        ("? [a]\n: b", 1, "a key must be a text"),
        ("[" * 100_000, 1, "too deep"),
        ("", 1, "there are no records"),
        ("\0", 1, "not valid YAML"),
    ],
)
def test_error_in_octodns_names_the_line(text: str, line: int, part: str) -> None:
    [(at, message)] = errors(text, octodns.parse)
    assert at == line
    assert part in message


# Single values


def test_single_values_are_read() -> None:
    assert single_values.parse("TXT", 'a "b" c') == ('a "b" c',)
    assert single_values.parse("MX", " 10  mx.example.com. ") == ("10", "mx.example.com")
    assert single_values.parse("CAA", '0 issue "a b"') == ("0", "issue", "a b")


@pytest.mark.parametrize(
    ("rdtype", "value"), [("FOO", "x"), ("A", ""), ("A", '"'), ("MX", "10"), ("MX", "10 mx\n1")]
)
def test_invalid_single_value_is_refused(rdtype: str, value: str) -> None:
    with pytest.raises(InvalidData):
        single_values.parse(rdtype, value)
