"""The name server of the demo, queried over real sockets on loopback."""

import time
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.query
import dns.resolver
import pytest
from dns.flags import Flag
from dns.message import Message
from dns.rcode import Rcode

from demo.fault_injection import Behavior, Failure, Fault, Slow
from demo.nameserver import NameServer
from demo.samples import BEHAVIOR, DOMAINS, ZONES
from tests.support.paths import DATA
from tests.support.zones import read_master_files

SECONDS = 5.0
SHARED_ZONES = DATA / "zones"
SOA = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 1209600 60\n@ IN NS ns\nns IN A 192.0.2.1\n"
FILES = {
    "plain.test": SOA
    + """
www IN A 192.0.2.2
deep.below IN A 192.0.2.3
*.wild IN TXT "wild"
deeper.there.wild IN A 192.0.2.4
alias IN CNAME www
away IN CNAME there.signed.test.
nowhere IN CNAME nothing.plain.test.
ring1 IN CNAME ring2
ring2 IN CNAME ring1
lame IN NS ns.elsewhere.test.
big IN TXT """
    + " ".join(f'"{letter * 200}"' for letter in "abcd")
    + "\nhuge IN TXT "
    + " ".join(f'"{letter * 250}"' for letter in "abcdefgh")
    + "\n"
    + "".join(f'faulty{n} IN TXT "right"\n' for n in range(10)),
    "signed.test": SOA + 'there IN A 192.0.2.9\nthere IN TXT "there"\n',
    "bogus.test": SOA + "www IN A 192.0.2.7\n",
    "test": SOA + "signed IN DS 1 13 2 " + "ab" * 32 + "\n",
}
FAULTS: dict[str | tuple[str, str], Fault] = {
    "faulty0.plain.test": Failure.SERVFAIL,
    "faulty1.plain.test": Failure.REFUSED,
    "faulty2.plain.test": Failure.TIMEOUT,
    "faulty3.plain.test": Slow(0.2),
    "faulty4.plain.test": Failure.TRUNCATED,
    "faulty5.plain.test": Failure.SPOOFED,
    "faulty6.plain.test": Failure.WRONG_QUESTION,
    "faulty7.plain.test": Failure.GARBAGE,
    "faulty8.plain.test": Failure.LOOP,
    ("faulty9.plain.test", "MX"): Failure.SERVFAIL,
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    folder = tmp_path_factory.mktemp("zones")
    for name, text in FILES.items():
        (folder / f"{name}.zone").write_text(text)
    behavior = Behavior(frozenset({"signed.test", "test"}), frozenset({"bogus.test"}), FAULTS)
    with NameServer(folder, behavior) as running:
        yield running


def ask(server: NameServer, name: str, rdtype: str = "A", flags: int = 0) -> Message:
    """Return the answer over UDP with EDNS."""
    query = dns.message.make_query(name, rdtype, use_edns=0, payload=1232)
    query.flags |= flags
    return dns.query.udp(query, server.address, SECONDS, port=server.port)


def data(reply: Message) -> list[str]:
    """Return the answer section as lines ``name type rdata``."""
    return [
        f"{rrset.name.to_text()} {rrset.rdtype.name} {rdata.to_text()}"
        for rrset in reply.answer
        for rdata in rrset
    ]


def stub(server: NameServer) -> dns.resolver.Resolver:
    """Return the stub resolver of dnspython, which uses only this server."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [server.address]
    resolver.port, resolver.lifetime, resolver.timeout = server.port, 1.0, 0.4
    return resolver


def test_record_is_served(server: NameServer) -> None:
    reply = ask(server, "WWW.plain.test")
    assert data(reply) == ["WWW.plain.test. A 192.0.2.2"]  # the case as asked
    assert reply.rcode() == Rcode.NOERROR
    assert reply.flags & Flag.RA


@pytest.mark.parametrize("name", ["gone.plain.test", "a.www.plain.test", "example.org", "org"])
def test_missing_name_is_nxdomain(server: NameServer, name: str) -> None:
    assert ask(server, name).rcode() == Rcode.NXDOMAIN


@pytest.mark.parametrize(
    "name", ["plain.test", "below.plain.test", "wild.plain.test", "there.wild.plain.test"]
)
def test_name_with_other_types_or_subdomains_is_nodata(server: NameServer, name: str) -> None:
    reply = ask(server, name, "AAAA")
    assert (reply.rcode(), reply.answer) == (Rcode.NOERROR, [])


@pytest.mark.parametrize("name", ["gone.plain.test", "www.plain.test"])
def test_negative_answer_has_a_ttl(server: NameServer, name: str) -> None:
    (soa,) = ask(server, name, "MX").authority
    assert (soa.name.to_text(), soa.rdtype.name, soa.ttl) == ("plain.test.", "SOA", 60)


@pytest.mark.parametrize(
    ("name", "rdtype", "expected"),
    [
        ("any.wild.plain.test", "TXT", ['any.wild.plain.test. TXT "wild"']),
        ("a.b.wild.plain.test", "TXT", ['a.b.wild.plain.test. TXT "wild"']),
        ("any.wild.plain.test", "A", []),
        ("there.wild.plain.test", "TXT", []),
    ],
)
def test_wildcard_answers_for_missing_names(
    server: NameServer, name: str, rdtype: str, expected: list[str]
) -> None:
    reply = ask(server, name, rdtype)
    assert (reply.rcode(), data(reply)) == (Rcode.NOERROR, expected)


def test_wildcard_stops_at_the_closest_encloser(server: NameServer) -> None:
    assert ask(server, "x.there.wild.plain.test", "TXT").rcode() == Rcode.NXDOMAIN


@pytest.mark.parametrize(
    ("name", "rcode", "last"),
    [
        ("alias.plain.test", Rcode.NOERROR, "www.plain.test. A 192.0.2.2"),
        ("away.plain.test", Rcode.NOERROR, "there.signed.test. A 192.0.2.9"),
        ("nowhere.plain.test", Rcode.NXDOMAIN, "nowhere.plain.test. CNAME nothing.plain.test."),
    ],
)
def test_aliases_are_followed_from_zone_to_zone(
    server: NameServer, name: str, rcode: Rcode, last: str
) -> None:
    reply = ask(server, name)
    assert (reply.rcode(), data(reply)[-1]) == (rcode, last)


def test_cname_query_does_not_follow_the_alias(server: NameServer) -> None:
    assert data(ask(server, "alias.plain.test", "CNAME")) == [
        "alias.plain.test. CNAME www.plain.test."
    ]


@pytest.mark.parametrize("name", ["ring1.plain.test", "lame.plain.test", "x.lame.plain.test"])
def test_unresolvable_name_is_servfail(server: NameServer, name: str) -> None:
    assert ask(server, name).rcode() == Rcode.SERVFAIL


@pytest.mark.parametrize(
    ("name", "flags", "expected"),
    [
        ("there.signed.test", Flag.AD, True),
        ("gone.signed.test", Flag.AD, True),
        ("there.signed.test", 0, False),
        ("www.plain.test", Flag.AD, False),
        ("away.plain.test", Flag.AD, False),
    ],
)
def test_only_answers_from_signed_zones_are_authenticated(
    server: NameServer, name: str, flags: int, expected: bool
) -> None:
    assert bool(ask(server, name, flags=flags).flags & Flag.AD) is expected


def test_ds_record_is_served_by_the_parent(server: NameServer) -> None:
    (line,) = data(ask(server, "signed.test", "DS"))
    assert line.startswith("signed.test. DS 1 13 2 ")


def test_bogus_zone_is_servfail_unless_checking_is_disabled(server: NameServer) -> None:
    assert ask(server, "www.bogus.test").rcode() == Rcode.SERVFAIL
    assert data(ask(server, "www.bogus.test", flags=Flag.CD)) == ["www.bogus.test. A 192.0.2.7"]


@pytest.mark.parametrize(
    ("name", "payload", "is_truncated"),
    [
        ("big.plain.test", None, True),
        ("big.plain.test", 600, True),
        ("big.plain.test", 1232, False),
        ("huge.plain.test", 4096, True),
    ],
)
def test_oversized_answer_is_truncated(
    server: NameServer, name: str, payload: int | None, is_truncated: bool
) -> None:
    edns = -1 if payload is None else 0
    query = dns.message.make_query(name, "TXT", use_edns=edns, payload=payload)
    reply = dns.query.udp(query, server.address, SECONDS, port=server.port)
    assert bool(reply.flags & Flag.TC) is is_truncated
    assert bool(reply.answer) is not is_truncated


@pytest.mark.parametrize("name", ["huge.plain.test", "faulty4.plain.test"])
def test_truncated_answer_is_complete_over_tcp(server: NameServer, name: str) -> None:
    query = dns.message.make_query(name, "TXT")
    reply, was_tcp = dns.query.udp_with_fallback(query, server.address, SECONDS, port=server.port)
    assert was_tcp
    assert reply.answer


@pytest.mark.parametrize(("number", "rcode"), [(0, Rcode.SERVFAIL), (1, Rcode.REFUSED)])
def test_fault_can_be_an_error_code(server: NameServer, number: int, rcode: Rcode) -> None:
    for name in (f"faulty{number}.plain.test", f"below.faulty{number}.plain.test"):
        assert ask(server, name, "TXT").rcode() == rcode


def test_fault_can_be_silence(server: NameServer) -> None:
    with pytest.raises(dns.resolver.LifetimeTimeout):
        stub(server).resolve("faulty2.plain.test.", "TXT")


def test_fault_can_be_silence_over_tcp(server: NameServer) -> None:
    query = dns.message.make_query("faulty2.plain.test", "TXT")
    with pytest.raises(dns.exception.Timeout):
        dns.query.tcp(query, server.address, 0.2, port=server.port)


def test_fault_can_be_a_delay(server: NameServer) -> None:
    before = time.monotonic()
    assert ask(server, "faulty3.plain.test", "TXT").answer
    assert time.monotonic() - before >= 0.2


def test_fault_can_be_a_spoofed_answer_before_the_real_one(server: NameServer) -> None:
    query = dns.message.make_query("faulty5.plain.test", "TXT")
    with pytest.raises(dns.query.BadResponse):
        dns.query.udp(query, server.address, SECONDS, port=server.port)
    reply = dns.query.udp(query, server.address, SECONDS, port=server.port, ignore_errors=True)
    assert data(reply) == ['faulty5.plain.test. TXT "right"']


@pytest.mark.parametrize(
    ("number", "error"), [(6, dns.query.BadResponse), (7, dns.exception.DNSException)]
)
def test_fault_can_be_a_malformed_answer(
    server: NameServer, number: int, error: type[Exception]
) -> None:
    query = dns.message.make_query(f"faulty{number}.plain.test", "TXT")
    with pytest.raises(error):
        dns.query.udp(query, server.address, SECONDS, port=server.port)


def test_fault_can_be_a_cname_loop(server: NameServer) -> None:
    reply = ask(server, "faulty8.plain.test", "TXT")
    assert isinstance(reply, dns.message.QueryMessage)
    with pytest.raises(dns.message.ChainTooLong):
        reply.resolve_chaining()


def test_fault_affects_only_its_query(server: NameServer) -> None:
    assert ask(server, "faulty9.plain.test", "MX").rcode() == Rcode.SERVFAIL
    assert ask(server, "faulty9.plain.test", "TXT").answer


def test_messages_other_than_queries_are_ignored(server: NameServer) -> None:
    notify = dns.message.make_query("plain.test", "SOA")
    notify.set_opcode(dns.opcode.NOTIFY)
    reply = dns.query.udp(notify, server.address, SECONDS, port=server.port)
    assert reply.rcode() == Rcode.NOTIMP
    transfer = dns.message.make_query("plain.test", "AXFR")
    reply = dns.query.tcp(transfer, server.address, SECONDS, port=server.port)
    assert reply.rcode() == Rcode.REFUSED


def test_stub_resolver_gets_answers(server: NameServer) -> None:
    answer = stub(server).resolve("away.plain.test.", "TXT")
    assert [rdata.to_text() for rdata in answer] == ['"there"']
    with pytest.raises(dns.resolver.NXDOMAIN):
        stub(server).resolve("gone.plain.test.", "TXT")
    with pytest.raises(dns.resolver.NoAnswer):
        stub(server).resolve("below.plain.test.", "TXT")


def test_the_shared_zones_can_be_served() -> None:
    signed = {path.name.removesuffix(".zone.signed") for path in SHARED_ZONES.glob("*.signed")}
    signed = (signed - {"root"}) | {"."}
    with NameServer(SHARED_ZONES, Behavior(signed=signed)) as running:
        hosts = stub(running).resolve("acme.test.", "MX")
        assert sorted(mx.exchange.to_text() for mx in hosts) == [
            "mx1.mailhost.example.",
            "mx2.mailhost.example.",
        ]
        assert not ask(running, "acme.test", "MX", Flag.AD).flags & Flag.AD
        assert ask(running, "signed.test", "MX", Flag.AD).flags & Flag.AD
        assert ask(running, "down.test", "NS").rcode() == Rcode.SERVFAIL
        query = dns.message.make_query("signed.test", "MX", want_dnssec=True)
        reply = dns.query.udp(query, running.address, SECONDS, port=running.port)
        assert [rrset.rdtype.name for rrset in reply.answer] == ["MX", "RRSIG"]


async def test_server_can_start_in_a_running_loop() -> None:
    async with NameServer(ZONES, BEHAVIOR) as running:
        assert running.port


def test_every_sample_has_the_zone_that_it_needs() -> None:
    missing = {name for name in DOMAINS if not (ZONES / f"{name}.zone").exists()}
    assert missing == {"nosuch.example"}
    assert read_master_files(*ZONES.glob("*.zone"))
