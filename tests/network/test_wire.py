"""The DNS codec, compared with dnspython on random messages and hostile bytes."""

import ipaddress
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.network.dns import wire
from app.ports.dns import Caa, Mx, Rdata, Signature, Soa, Tlsa


def _bounded(labels: list[bytes]) -> dns.name.Name:
    return dns.name.Name([*(labels if sum(map(len, labels)) < 240 else labels[:3]), b""])


def _joined(words: tuple[Any, ...]) -> str:
    return " ".join(map(str, words))


def _quoted(data: bytes) -> str:
    return '"' + "".join(f"\\{octet:03d}" for octet in data) + '"'


octets, shorts, longs = (st.integers(0, 2**bits - 1) for bits in (8, 16, 31))
names = st.lists(st.binary(min_size=1, max_size=63), max_size=8).map(_bounded)
hosts = names.map(str)
strings = st.binary(max_size=255).map(_quoted)
hexadecimal = st.binary(min_size=1, max_size=40).map(bytes.hex)
digests = st.binary(min_size=32, max_size=32).map(bytes.hex)
tags = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=15)

TEXTS: dict[str, st.SearchStrategy[str]] = {
    "A": longs.map(lambda number: str(ipaddress.IPv4Address(number))),
    "AAAA": st.integers(0, 2**128 - 1).map(lambda number: str(ipaddress.IPv6Address(number))),
    "TXT": st.lists(strings, min_size=1, max_size=4).map(" ".join),
    "SPF": st.lists(strings, min_size=1, max_size=4).map(" ".join),
    "MX": st.tuples(shorts, hosts).map(_joined),
    "NS": hosts,
    "CNAME": hosts,
    "PTR": hosts,
    "SOA": st.tuples(hosts, hosts, longs, longs, longs, longs, longs).map(_joined),
    "TLSA": st.tuples(octets, octets, st.sampled_from([0, 3, 255]), hexadecimal).map(_joined),
    "CAA": st.tuples(octets, tags, strings).map(_joined),
    "DS": st.tuples(shorts, st.integers(1, 255), st.just(2), digests).map(_joined),
    "DNSKEY": st.tuples(shorts, st.just("3 13 AAECAwQF")).map(_joined),
    "RRSIG": st.tuples(
        st.just("TXT"), octets, octets, longs, longs, longs, shorts, hosts, st.just("AAECAwQF")
    ).map(_joined),
}


@st.composite
def responses(draw: st.DrawFn) -> dns.message.Message:
    """A valid response with aliases, records, an SOA, EDNS and compressed names."""
    rdtype = draw(st.sampled_from(sorted(TEXTS)))
    query = dns.message.make_query(draw(names), rdtype, id=draw(shorts), use_edns=0)
    response = dns.message.make_response(query)
    if draw(st.booleans()):
        response.flags |= dns.flags.AD
    owner = query.question[0].name
    if draw(st.booleans()):
        alias = draw(names)
        response.answer.append(_rrset(owner, "CNAME", draw(longs), [str(alias)]))
        owner = alias
    if texts := draw(st.lists(TEXTS[rdtype], max_size=3, unique=True)):
        response.answer.append(_rrset(owner, rdtype, draw(octets), texts))
    elif draw(st.booleans()):
        response.authority.append(_rrset(draw(names), "SOA", 900, [draw(TEXTS["SOA"])]))
    response.set_rcode(dns.rcode.Rcode(draw(st.integers(0, 23))))
    return response


def _rrset(owner: dns.name.Name, rdtype: str, ttl: int, texts: list[str]) -> dns.rrset.RRset:
    return dns.rrset.from_text_list(owner, min(ttl, 2**31 - 1), "IN", rdtype, texts)


def _same_name(ours: str, theirs: dns.name.Name) -> bool:
    return bool(dns.name.from_text(ours) == theirs)


def _is_record(ours: wire.Record, rrset: dns.rrset.RRset, rdata: Any) -> bool:
    return (
        (ours.rdtype, ours.ttl) == (rrset.rdtype, rrset.ttl)
        and _same_name(ours.owner, rrset.name)
        and _is_same(ours.rdata, rdata)
    )


def _is_same(ours: Rdata, theirs: Any) -> bool:
    match ours:
        case Mx(preference, host):
            return preference == theirs.preference and _same_name(host, theirs.exchange)
        case Soa(mname, rname, serial, minimum):
            numbers = (serial, minimum) == (theirs.serial, theirs.minimum)
            return numbers and _same_name(mname, theirs.mname) and _same_name(rname, theirs.rname)
        case Tlsa():
            return bool(str(ours) == theirs.to_text())
        case Caa(flags, tag, value):
            decoded = theirs.value.decode("utf-8", "backslashreplace")
            return bool((flags, tag, value) == (theirs.flags, theirs.tag.decode(), decoded))
    match theirs.rdtype.name:
        case "TXT" | "SPF":
            return bool(ours == b"".join(theirs.strings).decode("utf-8", "backslashreplace"))
        case "NS" | "CNAME" | "PTR":
            return _same_name(ours, theirs.target)
        case "AAAA":
            return ipaddress.ip_address(ours) == ipaddress.ip_address(theirs.address)
        case _:
            return bool(ours == theirs.to_text())


@given(responses())
def test_response_of_dnspython_is_decoded(response: dns.message.Message) -> None:
    message = wire.parse_response(response.to_wire())
    assert message.id == response.id
    assert message.rcode == response.rcode()
    assert message.authenticated == bool(response.flags & dns.flags.AD)
    assert _same_name(message.question[0], response.question[0].name)
    remaining = list(message.answers)
    for rrset in response.answer:
        for rdata in rrset:  # dnspython writes the records of a set in random order
            remaining.remove(next(ours for ours in remaining if _is_record(ours, rrset, rdata)))
    assert remaining == []
    soas = [rdata for rrset in response.authority for rdata in rrset]
    assert message.negative_ttl == (min(900, soas[0].minimum) if soas else None)


@given(responses(), st.booleans())
def test_response_is_decoded_the_same_with_and_without_query(
    response: dns.message.Message, is_same_case: bool
) -> None:
    question = response.question[0]
    name = question.name.to_text(omit_final_dot=True) if question.name != dns.name.root else ""
    query = wire.query_for(name if is_same_case else name.swapcase(), int(question.rdtype))
    data = response.to_wire()
    assert query.question == wire.question_of(query.message)
    assert wire.parse_response(data, query) == wire.parse_response(data)
    assert wire.parse_response(data).question == query.question


@given(responses(), st.data())
def test_damaged_response_raises_only_malformed(
    response: dns.message.Message, data: st.DataObject
) -> None:
    damaged = bytearray(response.to_wire())
    for _ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(2, len(damaged) - 1))] = data.draw(octets)
    with suppress(wire.Malformed):
        wire.parse_response(bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@given(st.binary(max_size=600), st.integers(0, 3), st.integers(0, 3))
def test_random_bytes_raise_only_malformed(tail: bytes, answers: int, authorities: int) -> None:
    header = bytes((0, 1, 0x81, 0, 0, 1, 0, answers, 0, authorities, 0, 0))
    for data in (tail, header + tail):
        with suppress(wire.Malformed):
            wire.parse_response(data)


@given(responses())
def test_truncated_bytes_are_malformed(response: dns.message.Message) -> None:
    with pytest.raises(wire.Malformed):
        wire.parse_response(response.to_wire()[:-1])


@given(names, st.sampled_from(sorted(TEXTS)), st.booleans(), st.booleans())
def test_query_is_decoded_by_dnspython(
    name: dns.name.Name, rdtype: str, checking_disabled: bool, recursive: bool
) -> None:
    text = name.to_text(omit_final_dot=True) if name != dns.name.root else ""
    number = wire.type_number(rdtype)
    query = wire.query_for(
        text, number, checking_disabled=checking_disabled and recursive, recursive=recursive
    )
    theirs = dns.message.from_wire(query.message)
    assert (theirs.id, theirs.edns, theirs.payload) == (0, 0, 1232)
    assert theirs.question[0].name == name
    assert theirs.question[0].rdtype.name == rdtype
    assert bool(theirs.flags & dns.flags.CD) == (checking_disabled and recursive)
    assert bool(theirs.flags & dns.flags.RD) == recursive
    assert bool(theirs.flags & dns.flags.AD) == recursive
    assert bool(theirs.ednsflags & dns.flags.DO) == (number in wire.SIGNED)


@pytest.mark.parametrize(
    ("name", "spelled"),
    [
        (b"\x03WWW\x04Acme\x04test\x00", "www.acme.test"),
        (b"\x07two.one\x04test\x00", r"two\.one.test"),
        (b"\x03a\\b\x00", r"a\\b"),
        (b"\x03a b\x00", r"a\032b"),
        (b"\x02\xff\x00\x00", r"\255\000"),
        (b"\x00", ""),
    ],
)
def test_escaped_name_round_trips(name: bytes, spelled: str) -> None:
    header = bytes((0, 1, 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    assert wire.parse_response(header + name + b"\0\1\0\1").question == (spelled, 1)
    assert name.lower() in wire.query_for(spelled, 1).message


@pytest.mark.parametrize("name", ["a..b", ".a", "a" * 64, ".".join(["a" * 49] * 6), "a\\", "\\256"])
def test_invalid_name_is_rejected(name: str) -> None:
    with pytest.raises(wire.Malformed):
        wire.query_for(name, 1)


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # to itself
        b"\xc0\x20",  # forwards
        b"\x01a\xc0\x0c",  # a loop
        b"\x41a\x00",  # an obsolete label type
        b"\x3fa",
    ],
)
def test_endless_name_is_malformed(name: bytes) -> None:
    header = bytes((0, 1, 0x81, 0, 0, 1, 0, 0, 0, 0, 0, 0))
    with pytest.raises(wire.Malformed):
        wire.parse_response(header + name + b"\0\1\0\1")


def test_message_full_of_pointers_is_rejected_quickly() -> None:
    """The message has 16,000 pointers, each to the previous one, and records at the last one."""
    header = bytes((0, 1, 0x81, 0, 0, 1, 0xFF, 0xFF, 0, 0, 0, 0))
    question = b"\0\0\1\0\1"
    at = len(header + question)
    chain = b"".join((0xC000 | max(at + 2 * n - 2, 12)).to_bytes(2) for n in range(5000))
    record = b"\0\0\xff\0\1\0\0\0\0" + len(chain).to_bytes(2) + chain
    last = (0xC000 | (at + 2 * 4999)).to_bytes(2)
    with pytest.raises(wire.Malformed):
        wire.parse_response(header + question + record + last * 20_000)


def test_truncated_response_has_no_answers() -> None:
    response = dns.message.make_response(dns.message.make_query("acme.test", "A"))
    response.answer.append(_rrset(response.question[0].name, "A", 60, ["192.0.2.1"]))
    response.flags |= dns.flags.TC
    message = wire.parse_response(response.to_wire()[:-3])
    assert message.truncated
    assert message.answers == ()


def test_records_of_other_types_and_classes_are_ignored() -> None:
    response = dns.message.make_response(dns.message.make_query("acme.test", "A"))
    owner = response.question[0].name
    response.answer.append(dns.rrset.from_text(owner, 60, "CH", "TXT", "chaos"))
    response.answer.append(_rrset(owner, "TXT", 60, ["other"]))
    response.answer.append(_rrset(owner, "A", 60, ["192.0.2.1"]))
    answers = wire.parse_response(response.to_wire()).answers
    assert answers == (wire.Record(owner="acme.test", rdtype=1, ttl=60, rdata="192.0.2.1"),)


def test_unknown_type_is_decoded_as_hexadecimal() -> None:
    response = dns.message.make_response(dns.message.make_query("acme.test", "TYPE65280"))
    owner = response.question[0].name
    response.answer.append(_rrset(owner, "TYPE65280", 60, [r"\# 3 abcdef"]))
    assert wire.parse_response(response.to_wire()).answers[0].rdata == r"\# 3 abcdef"


def test_ttl_with_highest_bit_is_zero() -> None:
    response = dns.message.make_response(dns.message.make_query("acme.test", "A"))
    response.answer.append(_rrset(response.question[0].name, "A", 60, ["192.0.2.1"]))
    data = response.to_wire().replace(b"\0\0\0\x3c\0\4", b"\x80\0\0\0\0\4")
    assert wire.parse_response(data).answers[0].ttl == 0


def test_referral_is_distinguished_from_empty_answer() -> None:
    response = dns.message.make_response(dns.message.make_query("acme.test", "A"))
    response.authority.append(_rrset(response.question[0].name, "NS", 60, ["ns.acme.test."]))
    assert wire.parse_response(response.to_wire()).referral
    response.authority.append(_rrset(response.question[0].name, "SOA", 60, [". . 1 2 3 4 5"]))
    assert not wire.parse_response(response.to_wire()).referral


@pytest.mark.parametrize(("rdtype", "is_asked"), [("SOA", True), ("DNSKEY", True), ("TXT", False)])
def test_signatures_are_requested_for_signed_types_only(rdtype: str, is_asked: bool) -> None:
    query = wire.query_for("acme.test", wire.type_number(rdtype))
    assert bool(dns.message.from_wire(query.message).ednsflags & dns.flags.DO) == is_asked


def _signed(covered: str) -> dns.message.Message:
    """A response with an SOA and a signature over that type."""
    query = dns.message.make_query("acme.test", "SOA", want_dnssec=True)
    response = dns.message.make_response(query)
    owner = query.question[0].name
    soa = "ns1.acme.test. host.acme.test. 7 3600 600 86400 60"
    signature = f"{covered} 13 2 3600 20260615000000 20260601000000 12345 acme.test. AAAA"
    response.answer.append(_rrset(owner, "SOA", 60, [soa]))
    response.answer.append(_rrset(owner, "RRSIG", 60, [signature]))
    return response


def test_signature_of_queried_type_has_validity_period() -> None:
    message = wire.parse_response(_signed("SOA").to_wire())
    begins = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
    assert message.signatures == (("acme.test", Signature(6, begins, begins + 14 * 86_400)),)
    assert [record.rdtype for record in message.answers] == [wire.SOA]


def test_signature_of_another_type_is_ignored() -> None:
    assert wire.parse_response(_signed("NS").to_wire()).signatures == ()


@pytest.mark.parametrize("is_authoritative", [True, False])
def test_authoritative_answer_is_recognized(is_authoritative: bool) -> None:
    response = _signed("SOA")
    response.flags |= dns.flags.AA if is_authoritative else 0
    assert wire.parse_response(response.to_wire()).authoritative == is_authoritative


def test_query_to_authoritative_server_is_not_recursive() -> None:
    query = wire.query_for("acme.test", wire.SOA, recursive=False)
    assert not dns.message.from_wire(query.message).flags & (dns.flags.RD | dns.flags.AD)
