"""TLSA records compared with the certificates that a TLS probe saw."""

import hashlib
import ssl
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from app.checks.engine.execution import run_check
from app.checks.engine.types import CheckResult, Severity, Subject
from app.checks.transport import certificate_match
from app.checks.transport.certificate_match import Chain, Reference
from app.checks.transport.dane import MISMATCH, dane
from app.ports.dns import Tlsa
from app.ports.smtp import TlsProbe
from app.protocols.names import DomainName
from app.protocols.transport import certificates
from tests.support.zones import TIMEOUT, Data, Zone

MX = "mx.example.org"
AT = ("_25._tcp.mx.example.org", "TLSA")
NOW = datetime(2026, 11, 30, 8, tzinfo=UTC)
CODE = "dane.certificate_mismatch"


def der(pem: trustme.Blob) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.bytes().decode())


def key_of(certificate: bytes) -> bytes:
    key = x509.load_der_x509_certificate(certificate).public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


ROOT = trustme.CA()
ISSUER = ROOT.create_child_ca()
SERVED = ISSUER.issue_cert(MX)
LEAF, TA = (der(blob) for blob in SERVED.cert_chain_pems[:2])
OTHER = der(trustme.CA().issue_cert(MX).cert_chain_pems[0])


def record(usage: int, selector: int, matching: int, certificate: bytes) -> Tlsa:
    data = key_of(certificate) if selector else certificate
    digest = {0: bytes.hex, 1: lambda d: hashlib.sha256(d).hexdigest()}
    return Tlsa(
        usage=usage,
        selector=selector,
        matching=matching,
        data=digest.get(matching, lambda d: hashlib.sha512(d).hexdigest())(data),
    )


def chain_of(*served: bytes, is_complete: bool = False) -> Chain:
    return certificate_match.chain([*map(certificates.load, served)], is_complete=is_complete)


def is_match(
    tlsa: Tlsa, chain: Chain, *, names: tuple[str, ...] = (MX,), now: datetime = NOW
) -> bool | None:
    return certificate_match.is_match(tlsa, chain, Reference(names, now))


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_usage_3_describes_the_certificate_of_the_host(selector: int, matching: int) -> None:
    own, ca, other = (record(3, selector, matching, der) for der in (LEAF, TA, OTHER))
    for chain in (chain_of(LEAF), chain_of(LEAF, TA, is_complete=True)):
        assert is_match(own, chain) is True
        assert is_match(ca, chain) is False
        assert is_match(other, chain) is False


@pytest.mark.parametrize("selector", [0, 1])
@pytest.mark.parametrize("matching", [0, 1, 2])
def test_usage_2_describes_any_ca_of_the_chain(selector: int, matching: int) -> None:
    root = der(ROOT.cert_pem)
    for served in ((LEAF, TA, root), (LEAF, root, TA)):
        chain = chain_of(*served, is_complete=True)
        assert is_match(record(2, selector, matching, TA), chain) is True
        assert is_match(record(2, selector, matching, root), chain) is True
        assert is_match(record(2, selector, matching, LEAF), chain) is None
        assert is_match(record(2, selector, matching, OTHER), chain) is False


def test_usage_2_needs_a_ca_that_issued_the_certificate_of_the_host() -> None:
    stranger = der(trustme.CA().cert_pem)
    for served in ((LEAF, stranger), (LEAF, TA, stranger)):
        chain = chain_of(*served, is_complete=True)
        assert is_match(record(2, 1, 1, stranger), chain) is False
    without_intermediate = chain_of(LEAF, der(ROOT.cert_pem), is_complete=True)
    assert is_match(record(2, 1, 1, der(ROOT.cert_pem)), without_intermediate) is False


@pytest.mark.parametrize(
    ("certified", "names", "expected"),
    [
        ("mx.example.org", (MX, "example.org"), True),
        ("MX.Example.ORG", (MX,), True),
        ("*.example.org", (MX,), True),
        ("example.org", (MX, "example.org"), True),
        ("other.example.org", (MX, "example.org"), False),
        ("*.example.org", ("a.mx.example.org",), False),
        ("*.mx.example.org", (MX,), False),
    ],
)
def test_usage_2_needs_a_certificate_for_the_host_or_the_domain(
    certified: str, names: tuple[str, ...], expected: bool
) -> None:
    certificate = ISSUER.issue_cert(certified)
    served = [der(blob) for blob in certificate.cert_chain_pems[:2]]
    chain = chain_of(*served, is_complete=True)
    assert is_match(record(2, 1, 1, TA), chain, names=names) is expected
    assert is_match(record(3, 1, 1, served[0]), chain, names=names) is True


def test_usage_2_needs_a_certificate_that_is_not_expired() -> None:
    chain = chain_of(LEAF, TA, is_complete=True)
    for now in (datetime(1999, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC)):
        assert is_match(record(2, 1, 1, TA), chain, now=now) is False
        assert is_match(record(3, 1, 1, LEAF), chain, now=now) is True


def test_usage_2_is_undetermined_if_only_the_own_certificate_is_known() -> None:
    assert is_match(record(2, 1, 1, TA), chain_of(LEAF)) is None
    assert is_match(record(2, 0, 1, OTHER), chain_of(LEAF)) is None


def test_complete_certificate_of_the_ca_verifies_the_own_certificate() -> None:
    assert is_match(record(2, 0, 0, TA), chain_of(LEAF)) is True
    root = record(2, 0, 0, der(ROOT.cert_pem))
    assert is_match(root, chain_of(LEAF, TA, is_complete=True)) is True
    assert is_match(Tlsa(usage=2, selector=0, matching=0, data="abcd"), chain_of(LEAF)) is None


def test_self_signed_certificate_has_no_other_ca() -> None:
    alone = chain_of(der(ROOT.cert_pem))
    assert alone.is_complete
    assert is_match(record(2, 1, 1, TA), alone) is False


async def run(
    records: Sequence[Tlsa],
    probe: TlsProbe | None,
    *,
    last_facts: Mapping[str, Any] | None = None,
    is_signed: bool = True,
    now: datetime = NOW,
) -> CheckResult:
    """The result after a scan an hour before the probe saw ``last_facts``, by default these."""
    data: Data = {("example.org", "MX"): [f"10 {MX}"], (MX, "A"): ["192.0.2.1"], AT: list(records)}
    subject = Subject(
        DomainName("example.org"),
        tls_probes={MX: probe} if probe else {},
        last_facts={"dane": last_facts or {}},
        now=now,
    )
    return await run_check(dane, subject, Zone(data, authenticated=is_signed))


def probed(*served: bytes, at: datetime | None = NOW - timedelta(hours=1)) -> TlsProbe:
    return TlsProbe(MX, True, "TLSv1.3", certificates=served, probed_at=at)


async def seen_before(records: Sequence[Tlsa]) -> Mapping[str, Any]:
    return (await run(records, None, now=NOW - timedelta(hours=2))).facts


def codes(result: CheckResult) -> list[str]:
    return [finding.kind.code for finding in result.findings]


async def test_mismatch_is_critical_and_names_the_record_of_the_certificate() -> None:
    records = [record(3, 1, 1, OTHER), record(3, 0, 2, OTHER)]
    result = await run(records, probed(LEAF), last_facts=await seen_before(records))
    [finding] = result.findings
    assert (finding.kind.code, finding.severity, finding.subject) == (
        CODE,
        Severity.CRITICAL,
        "_25._tcp.mx.example.org",
    )
    assert finding.evidence["seen"] == str(record(3, 1, 1, LEAF))
    assert result.facts["certificates"] == {
        MX: {"result": "mismatch", "record": None, "reason": None}
    }
    assert MISMATCH.flaps


async def test_match_names_the_record() -> None:
    records = [record(3, 1, 1, OTHER), record(3, 1, 1, LEAF)]
    result = await run(records, probed(LEAF))
    assert codes(result) == []
    assert result.facts["certificates"][MX] == {
        "result": "match",
        "record": str(records[1]),
        "reason": None,
    }


@pytest.mark.parametrize(
    "probe",
    [
        None,
        TlsProbe(MX, False, probed_at=NOW),
        TlsProbe(MX, True, problem="version", probed_at=NOW),
        probed(b"no certificate"),
    ],
)
async def test_host_without_a_probed_certificate_is_not_compared(probe: TlsProbe | None) -> None:
    records = [record(3, 1, 1, OTHER), record(3, 1, 1, TA)]
    result = await run(records, probe, last_facts=await seen_before(records))
    assert codes(result) == []
    assert result.facts["certificates"] == {}


async def test_disabled_probes_leave_the_facts_out() -> None:
    data: Data = {("example.org", "MX"): [f"10 {MX}"], AT: [record(2, 1, 1, OTHER)]}
    subject = Subject(DomainName("example.org"), tls_probes=None, now=NOW)
    result = await run_check(dane, subject, Zone(data, authenticated=True))
    assert not {"certificates", "tlsa_since"} & result.facts.keys()


async def test_probe_from_before_the_records_is_no_mismatch() -> None:
    records = [record(3, 1, 1, OTHER), record(3, 1, 1, TA)]
    for last_facts in ({}, await seen_before([record(3, 1, 1, LEAF)])):
        result = await run(records, probed(LEAF), last_facts=last_facts)
        assert codes(result) == []
        fact = result.facts["certificates"][MX]
        assert (fact["result"], fact["reason"]) == (
            "undetermined",
            "the records changed after the latest probe of the host",
        )
    later = await run(records, probed(LEAF, at=NOW + timedelta(hours=1)), last_facts=result.facts)
    assert codes(later) == [CODE]


async def test_records_without_dnssec_are_not_compared() -> None:
    records = [record(3, 1, 1, OTHER), record(3, 1, 1, TA)]
    result = await run(
        records, probed(LEAF), last_facts=await seen_before(records), is_signed=False
    )
    assert CODE not in codes(result)


async def test_unusable_records_are_not_compared() -> None:
    records = [record(1, 1, 1, LEAF), Tlsa(usage=3, selector=1, matching=1, data="ab")]
    result = await run(records, probed(LEAF), last_facts=await seen_before(records))
    assert CODE not in codes(result)


async def test_unknown_ca_leaves_the_host_undetermined() -> None:
    records = [record(3, 1, 1, OTHER), record(2, 1, 1, TA)]
    result = await run(records, probed(LEAF), last_facts=await seen_before(records))
    assert codes(result) == []
    fact = result.facts["certificates"][MX]
    assert fact["result"] == "undetermined"
    assert "does not have all certificates of the host" in fact["reason"]


async def test_record_of_usage_2_for_the_own_certificate_is_undetermined() -> None:
    records = [record(2, 1, 1, LEAF)]
    probe = probed(LEAF, TA)._replace(has_complete_chain=True)
    result = await run(records, probe, last_facts=await seen_before(records))
    assert codes(result) == []
    assert "publish it with usage 3" in result.facts["certificates"][MX]["reason"]


async def test_failed_lookup_neither_reports_nor_clears_a_mismatch() -> None:
    data: Data = {("example.org", "MX"): [f"10 {MX}"], (MX, "A"): ["192.0.2.1"], AT: TIMEOUT}
    subject = Subject(DomainName("example.org"), tls_probes={MX: probed(LEAF)}, now=NOW)
    result = await run_check(dane, subject, Zone(data, authenticated=True))
    assert not result.definite
    assert codes(result) == []
