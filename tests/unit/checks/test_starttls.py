"""The starttls check: findings from the probes of mail hosts."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Verdict
from app.checks.transport.starttls import starttls
from app.ports.smtp import TlsProbe
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, Data, Zone

DOMAIN = DomainName("example.org")
MX = "mx.example.org"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
ZONE: Data = {(DOMAIN, "MX"): [f"10 {MX}"]}
GOOD = TlsProbe(MX, True, "TLSv1.3", not_after="2026-06-01T00:00:00Z")


def subject(*probes: TlsProbe) -> Subject:
    return Subject(DOMAIN, tls_probes={handshake.host: handshake for handshake in probes}, now=NOW)


@pytest.mark.parametrize(
    ("probe", "codes"),
    [
        (GOOD, []),
        (GOOD._replace(version="TLSv1.2"), ["starttls.no_tls13"]),
        (TlsProbe(MX, False), ["starttls.missing"]),
        (TlsProbe(MX, True, problem="version"), ["starttls.version_deprecated"]),
        (TlsProbe(MX, True, problem="expired"), ["starttls.cert_expired"]),
        (TlsProbe(MX, True, problem="host_mismatch"), ["starttls.cert_host_mismatch"]),
        (TlsProbe(MX, True, problem="untrusted"), ["starttls.cert_untrusted"]),
        (TlsProbe(MX, True, problem="weak_key"), ["starttls.cert_weak_key"]),
        (TlsProbe(MX, True, problem="weak_signature"), ["starttls.cert_weak_signature"]),
        (TlsProbe(MX, True, problem="key_usage"), ["starttls.cert_key_usage"]),
    ],
)
async def test_findings_describe_probe_of_each_host(probe: TlsProbe, codes: list[str]) -> None:
    outcome = await starttls.run(subject(probe), Zone(ZONE))
    assert [finding.kind.code for finding in outcome.findings] == codes


@pytest.mark.parametrize(
    ("not_after", "severity"),
    [
        ("2026-02-15T00:00:00Z", None),
        ("2026-01-20T00:00:00Z", Severity.MEDIUM),
        ("2026-01-05T00:00:00Z", Severity.HIGH),
        ("2026-01-01T12:00:00Z", Severity.CRITICAL),
    ],
)
async def test_severity_of_certificate_expiry_rises(
    not_after: str, severity: Severity | None
) -> None:
    outcome = await starttls.run(subject(GOOD._replace(not_after=not_after)), Zone(ZONE))
    assert [finding.severity for finding in outcome.findings] == ([severity] if severity else [])


async def test_host_without_probe_is_never_a_finding() -> None:
    check_result = await run_check(starttls, subject(), Zone(ZONE))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert check_result.findings == ()


async def test_disabled_probes_are_only_reported_as_not_tested() -> None:
    check_result = await run_check(starttls, Subject(DOMAIN), Zone(ZONE))
    assert check_result.verdict is Verdict.INFO
    assert [finding.kind.code for finding in check_result.findings] == ["starttls.not_tested"]


async def test_dns_failure_is_undetermined() -> None:
    check_result = await run_check(starttls, subject(GOOD), Zone({(DOMAIN, "MX"): SERVFAIL}))
    assert check_result.verdict is Verdict.UNDETERMINED


async def run_starttls(probe: TlsProbe, last_results: Any) -> tuple[Any, list[str]]:
    """Facts and codes, after a scan with these facts."""
    outcome = await starttls.run(
        replace(subject(probe), last_facts={"starttls": last_results}), Zone(ZONE)
    )
    return outcome.facts, [finding.kind.code for finding in outcome.findings]


async def test_tls_no_longer_offered_is_reported_as_stripped() -> None:
    stripped, never = "starttls.stripped_between_probes", "starttls.missing"
    first, _ = await run_starttls(GOOD, {})
    second, codes = await run_starttls(TlsProbe(MX, False), first)
    assert codes == [stripped]
    third, codes = await run_starttls(TlsProbe(MX, False), second)
    assert codes == [stripped]
    fourth, codes = await run_starttls(GOOD, third)
    assert codes == []
    assert "once_tls" not in fourth["hosts"][MX]
    nothing, codes = await run_starttls(TlsProbe(MX, False), {})
    assert codes == [never]
    assert (await run_starttls(TlsProbe(MX, False), nothing))[1] == [never]
