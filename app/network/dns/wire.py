"""DNS messages in wire format: encoding queries, decoding responses (RFC 1035 §4, RFC 6891).

The codec supports only what scans need, at a tenth of the cost of a general library. Responses may
be hostile: every length is checked, and decoding takes time proportional to the size of a message.
"""

import re
import struct
from collections.abc import Callable, Sequence
from functools import cache
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

import dns.exception
import dns.rdata
import dns.rdataclass
import dns.rdatatype

from app.network.dns.entropy import EntropyBuffer
from app.network.dns.wire_names import Malformed as Malformed
from app.network.dns.wire_names import encoded, read_name
from app.ports.dns import Caa, Mx, Rdata, Signature, Soa, Tlsa

EDNS_BYTES = 1232  # fits every path without IP fragmentation (DNS flag day 2020)

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
NS, CNAME, SOA, OPT, RRSIG = 2, 5, 6, 41, 46
SIGNED = frozenset((NS, SOA, 48))  # 48 is DNSKEY; these types are queried with signatures (DO)

_new = tuple.__new__  # the constructor of a NamedTuple takes 5 to 17 times as long

_IN = 1
_QR, _OPCODE, _AA, _TC, _RD, _AD, _CD, _DO = 0x8000, 0x7800, 0x400, 0x200, 0x100, 0x20, 0x10, 0x8000

_HEADER = struct.Struct("!6H")
_QUESTION = struct.Struct("!2H")
_RECORD = struct.Struct("!HHIH")
_SOA_NUMBERS = struct.Struct("!5I")
_RRSIG = struct.Struct("!HBBIII")
_LEAST_SOA = 2 + _SOA_NUMBERS.size  # bytes, with two root names
_CASE_BIT = bytes(0x20 if bytes((octet,)).isalpha() else 0 for octet in range(256))
_TO_QUESTION = bytes((0xC0, _HEADER.size))  # a pointer
_PLAIN_LOWER = re.compile(r"[!-@\[\]-~]*")
_OPT = b"\0" + _RECORD.pack(OPT, EDNS_BYTES, 0, 0)
_OPT_DO = b"\0" + _RECORD.pack(OPT, EDNS_BYTES, _DO, 0)
_HEAD, _HEAD_CD, _HEAD_DIRECT = (
    _HEADER.pack(0, flags, 1, 0, 0, 1) for flags in (_RD | _AD, _RD | _AD | _CD, 0)
)


class Record(NamedTuple):
    """One record of an answer; ``owner`` is lower-case without final dot, ``ttl`` in seconds."""

    owner: str
    rdtype: int
    ttl: int
    rdata: Rdata


_Entry = tuple[str, int, int, int, int, int]
"""A record before its data is decoded: owner, type, class, TTL, start and end."""


class Message(NamedTuple):
    """One DNS response.

    rcode          with the upper bits of EDNS (RFC 6891 §6.1.3)
    question       (name, type); the class was IN
    answers        records of the queried type and CNAMEs in order; none if ``truncated``
    negative_ttl   seconds that a negative answer may be cached (RFC 2308 §5); ``None`` without SOA
    referral       whether the server only refers to other servers (RFC 2308 §2.2.1)
    authoritative  the AA bit
    signatures     owner and RRSIG of each record set of the queried type, for types in ``SIGNED``
    """

    id: int
    rcode: int
    truncated: bool
    authenticated: bool
    question: tuple[str, int]
    answers: tuple[Record, ...] = ()
    negative_ttl: int | None = None
    referral: bool = False
    authoritative: bool = False
    signatures: tuple[tuple[str, Signature], ...] = ()


class Query(NamedTuple):
    """A query to send.

    message   the whole message
    section   its question section, which a response repeats
    question  the decoded question
    """

    message: bytes
    section: bytes
    question: tuple[str, int]


def query_for(
    name: str, rdtype: int, *, checking_disabled: bool = False, recursive: bool = True
) -> Query:
    """Return the query for a name and type of class IN, with EDNS and the id 0.

    name       as in answers: escapes (``\\.``, ``\\009``) are decoded; ``""`` is the root
    recursive  False for an authoritative server
    raises     Malformed if the name is invalid
    """
    section = encoded(name) + _section_end(rdtype)
    head = (_HEAD_CD if checking_disabled else _HEAD) if recursive else _HEAD_DIRECT
    message = head + section + (_OPT_DO if rdtype in SIGNED else _OPT)
    is_plain = _PLAIN_LOWER.fullmatch(name)
    return Query(message, section, (name, rdtype) if is_plain else question_of(message))


def mixed(query: Query, random_bytes: EntropyBuffer) -> Query:
    """Return the query with random case in each letter, which an off-path attacker cannot guess."""
    name = query.section[: -_QUESTION.size]
    random_bits = int.from_bytes(name.translate(_CASE_BIT)) & int.from_bytes(
        random_bytes.take(len(name))
    )
    spelled = (int.from_bytes(name) ^ random_bits).to_bytes(len(name))
    behind = _HEADER.size + len(name)
    message = b"".join((query.message[: _HEADER.size], spelled, query.message[behind:]))
    return Query(message, spelled + query.section[-_QUESTION.size :], query.question)


def is_repeated(data: bytes, query: Query) -> bool:
    """Return whether a response repeats the question with identical spelling."""
    return data.startswith(query.section, _HEADER.size)


def parse_response(data: bytes, query: Query | None = None) -> Message:
    """Return the decoded response.

    query   the query that it should answer; an identical question section is not decoded again
    raises  Malformed if the data is not exactly one response to one question of class IN
    source  RFC 1035 §4.1
    """
    try:
        return _message(data, query)
    except (IndexError, struct.error, dns.exception.DNSException) as error:
        raise Malformed(str(error)) from None


@cache
def _section_end(rdtype: int) -> bytes:
    return _QUESTION.pack(rdtype, _IN)


def question_of(query: bytes) -> tuple[str, int]:
    """Return the question of an encoded query, in the form of ``Message.question``."""
    name, at = read_name(query, _HEADER.size)
    return name, query[at] << 8 | query[at + 1]


def type_number(rdtype: str) -> int:
    """Return the number of a type: 16 for ``TXT``."""
    return TYPES.get(rdtype) or int(dns.rdatatype.from_text(rdtype))


def _message(data: bytes, query: Query | None) -> Message:
    id, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    if flags & (_QR | _OPCODE) != _QR or questions != 1:
        raise Malformed("not a response to one question")
    (name, rdtype), at = _question(data, query)
    authenticated = bool(flags & _AD)
    if flags & _TC:  # a truncated message is not reliable
        return Message(
            id=id,
            rcode=flags & 15,
            truncated=True,
            authenticated=authenticated,
            question=(name, rdtype),
            authoritative=bool(flags & _AA),
        )
    entries = _entries(data, at, answers + authorities + additionals, name)
    records = _answers(data, entries[:answers], rdtype) if answers else ()
    negative_ttl, is_referral = None, False
    if authorities:
        authority = entries[answers : answers + authorities]
        negative_ttl = _negative_ttl(data, authority)
        names_others = negative_ttl is None and any(entry[1] == NS for entry in authority)
        is_referral = names_others and not flags & _AA and not records
    rcode = flags & 15
    if additionals:
        rcode |= _extended_rcode(entries[answers + authorities :])
    signatures = _signatures(data, entries[:answers], rdtype) if rdtype in SIGNED else ()
    is_authoritative = bool(flags & _AA)
    head = id, rcode, False, authenticated, (name, rdtype)
    return _new(Message, (*head, records, negative_ttl, is_referral, is_authoritative, signatures))


def _question(data: bytes, query: Query | None) -> tuple[tuple[str, int], int]:
    """The question, and the offset after it."""
    if query and data.startswith(query.section, _HEADER.size):
        return query.question, _HEADER.size + len(query.section)
    name, at = read_name(data, _HEADER.size)
    rdtype, rdclass = _QUESTION.unpack_from(data, at)
    if rdclass != _IN:
        raise Malformed("not of class IN")
    return (name, rdtype), at + _QUESTION.size


def _entries(data: bytes, at: int, count: int, question: str) -> list[_Entry]:
    entries = []
    for _ in range(count):
        if data.startswith(_TO_QUESTION, at):  # nearly always
            owner, at = question, at + 2
        else:
            owner, at = read_name(data, at)
        rdtype, rdclass, ttl, size = _RECORD.unpack_from(data, at)
        start = at + _RECORD.size
        at = start + size
        entries.append((owner, rdtype, rdclass, ttl, start, at))
    if at != len(data):
        raise Malformed("the message has a wrong length")
    return entries


def _answers(data: bytes, entries: Sequence[_Entry], queried_type: int) -> tuple[Record, ...]:
    records = []
    for owner, rdtype, rdclass, ttl, start, end in entries:
        if rdtype in (queried_type, CNAME) and rdclass == _IN:
            decode = _DECODERS.get(rdtype, _in_hexadecimal)
            rdata = decode(data, start, end)
            records.append(_new(Record, (owner, rdtype, _seconds(ttl), rdata)))
    return tuple(records)


def _signatures(
    data: bytes, entries: Sequence[_Entry], queried_type: int
) -> tuple[tuple[str, Signature], ...]:
    """The validity periods of the signatures of the queried type (RFC 4034 §3.1)."""
    signatures = []
    for owner, rdtype, rdclass, _, start, end in entries:
        if rdtype == RRSIG and rdclass == _IN:
            _expect(end - start > _RRSIG.size)
            covered, *_, expiration, inception = _RRSIG.unpack_from(data, start)
            if covered == queried_type:
                signatures.append((owner, Signature(covered, inception, expiration)))
    return tuple(signatures)


def _negative_ttl(data: bytes, authority: Sequence[_Entry]) -> int | None:
    """The negative TTL from the last four bytes of an SOA, without decoding its names."""
    for _, rdtype, rdclass, ttl, start, end in authority:
        if rdtype == SOA and rdclass == _IN:
            _expect(end - start >= _LEAST_SOA)
            return min(_seconds(ttl), _seconds(int.from_bytes(data[end - 4 : end])))
    return None


def _extended_rcode(additional: Sequence[_Entry]) -> int:
    for entry in additional:
        if entry[1] == OPT:
            return entry[3] >> 24 << 4
    return 0


def _seconds(ttl: int) -> int:
    return ttl if ttl < 1 << 31 else 0  # RFC 2181 §8


def _host(data: bytes, start: int, end: int) -> str:
    host, behind = read_name(data, start)
    _expect(behind == end)
    return host


def _a(data: bytes, start: int, end: int) -> str:
    _expect(end - start == 4)
    return inet_ntop(AF_INET, data[start:end])


def _aaaa(data: bytes, start: int, end: int) -> str:
    _expect(end - start == 16)
    return inet_ntop(AF_INET6, data[start:end])


def _txt(data: bytes, start: int, end: int) -> str:
    strings = []
    while start < end:
        behind = start + 1 + data[start]
        _expect(behind <= end)
        strings.append(data[start + 1 : behind])
        start = behind
    _expect(bool(strings))
    return b"".join(strings).decode("utf-8", "backslashreplace")


def _mx(data: bytes, start: int, end: int) -> Mx:
    return Mx(data[start] << 8 | data[start + 1], _host(data, start + 2, end))


def _soa(data: bytes, start: int, end: int) -> Soa:
    mname, at = read_name(data, start)
    rname, at = read_name(data, at)
    _expect(end - at == _SOA_NUMBERS.size)
    serial, _refresh, _retry, _expire, minimum = _SOA_NUMBERS.unpack_from(data, at)
    return Soa(mname=mname, rname=rname, serial=serial, minimum=minimum)


def _tlsa(data: bytes, start: int, end: int) -> Tlsa:
    _expect(end - start >= 3)
    usage, selector, matching = data[start : start + 3]
    association = data[start + 3 : end].hex()
    return Tlsa(usage=usage, selector=selector, matching=matching, data=association)


def _caa(data: bytes, start: int, end: int) -> Caa:
    _expect(end - start >= 2)
    value = start + 2 + data[start + 1]
    tag = data[start + 2 : value]
    _expect(value <= end and tag.isalnum())
    return Caa(
        data[start], tag.decode("ascii"), data[value:end].decode("utf-8", "backslashreplace")
    )


def _by_dnspython(rdtype: int) -> Callable[[bytes, int, int], str]:
    def read(data: bytes, start: int, end: int) -> str:
        kind = dns.rdatatype.RdataType(rdtype)
        return dns.rdata.from_wire(dns.rdataclass.IN, kind, data, start, end - start).to_text()

    return read


def _in_hexadecimal(data: bytes, start: int, end: int) -> str:
    """The presentation format of an unknown type (RFC 3597 §5)."""
    return rf"\# {end - start} {data[start:end].hex()}".rstrip()


def _expect(condition: bool) -> None:
    if not condition:
        raise Malformed("the data of a record has a wrong length")


TYPES = {"A": 1, "NS": NS, "CNAME": CNAME, "SOA": SOA, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28}
TYPES |= {"SPF": 99, "DS": 43, "RRSIG": 46, "DNSKEY": 48, "TLSA": 52, "CAA": 257}

_DECODERS: dict[int, Callable[[bytes, int, int], Rdata]] = {
    TYPES["A"]: _a,
    TYPES["AAAA"]: _aaaa,
    TYPES["TXT"]: _txt,
    TYPES["SPF"]: _txt,
    TYPES["MX"]: _mx,
    TYPES["SOA"]: _soa,
    TYPES["TLSA"]: _tlsa,
    TYPES["CAA"]: _caa,
    **{TYPES[name]: _host for name in ("NS", "CNAME", "PTR")},
    **{TYPES[name]: _by_dnspython(TYPES[name]) for name in ("DS", "DNSKEY", "RRSIG")},
}
