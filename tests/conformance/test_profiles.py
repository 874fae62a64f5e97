"""The compliance profiles of the zones of tests/data/zones.

The table was reviewed manually from the text of each source and the zone files. STARTTLS probes are
off and most zones name no DKIM selector, so the clauses that use them are undetermined.
"""

from collections.abc import Mapping
from typing import Any

import pytest

from app.analysis.scan import profiles
from app.analysis.scan.profiles import DomainResults, Status
from app.checks import CHECKS
from app.checks.engine import stored_results
from app.checks.engine.execution import run_check
from app.checks.engine.types import Usage
from app.ports.http import Page
from app.services.core.profiles import load
from app.services.scans import serialization
from tests.support import reference_zones

# The clauses of each column, in order; those that are not observable are left out.
COLUMNS = {
    "cisa-bod-18-01": ("starttls", "spf", "dmarc-reject", "dmarc-reports-to-cisa"),
    "google-yahoo-bulk-2024": ("spf", "dkim", "dmarc"),
    "internet-nl-mail": (
        *("dmarc", "dmarc-policy", "spf", "spf-policy", "dkim"),
        *("dnssec", "starttls", "certificate", "dane"),
    ),
    "microsoft-high-volume-2025": ("spf", "dkim", "dmarc"),
    "nz-secure-government-email": (
        *("incoming-tls", "spf", "dkim", "dmarc-reject", "mta-sts", "tls-reports"),
    ),
    "pci-dss-5-4-1": ("dmarc", "spf", "dkim"),
    "uk-government-email": (
        *("spf", "dkim", "dmarc", "dmarc-reports", "incoming-tls", "mta-sts", "tls-reports"),
    ),
}
# P pass, F fail, U undetermined; one word per profile.
EXPECTED = {
    # p=reject, SPF -all, a key, MTA-STS enforced, TLS-RPT; neither DNSSEC nor DANE
    "acme.test": "UPPF PPP PPPPPFUUF PPP UPPPPP PPP PPPPUPP",
    # p=quarantine, ~all with exactly ten lookups
    "ten.test": "UPFF PUP PPPPUFUUF PUP UFUFFF PPU PUPPUFF",
    # p=none, SPF permerror
    "spferr.test": "UFFF FUP PFPFUFUUF FUP UFUFFF FFU FUFPUFF",
    # p=none of the parent, SPF without "all"
    "sub.spferr.test": "UPFF PUP PFPFUFUUU PUP UFUFFF FPU PUFPUFF",
    # p=none of the parent, SPF +all
    "other.spferr.test": "UPFF PUP PFPFUFUUU PUP UFUFFF FFU PUFPUFF",
    # two DMARC records, which receivers ignore
    "twodmarc.test": "UPFF PUF FFPPUFUUF PUF UPUFFF FPU PUFFUFF",
    # p=quarantine; sp=none; np=reject
    "family.test": "UPFF PUP PPPPUFUUF PUP UPUFFF PPU PUPPUFF",
    # sp=none of the parent, no SPF record
    "kids.family.test": "UFFF FUP PFFFUFUUU FUP UFUFFF FFU FUFPUFF",
    # np=reject of the parent, because the name does not exist
    "nobody.family.test": "UFPF FUP PPFFUFUUU FUP UFUPFF PFU FUPPUFF",
    # p=reject, and one of its keys is usable
    "dkimmix.test": "UPPF PPP PPPPPFUUF PPP UPPPFF PPP PPPPUFF",
    # MTA-STS in mode testing: enough for GOV.UK, but not for New Zealand
    "transit.example": "UPPF PUP PPPPUFUUF PUP UPUPFP PPU PUPPUPP",
    # invalid MTA-STS and TLS-RPT records, no SPF record
    "bad.transit.example": "UFPF FUP PPFFUFUUF FUP UFUPFF PFU FUPPUFF",
    # p=reject, but the external reporting address is not authorized
    "parked.example": "UPPF PUP PPPPUFUUU PUP UPUPFF PPU PUPFUFF",
    "half.parked.example": "UFPF FUP PPFFUFUUF FUP UFUPFF PFU FUPFUFF",
    # p=none, SPF ~all
    "mxodd.test": "UPFF PUP PFPPUFUUF PUP UFUFFF FPU PUFPUFF",
    # DNSSEC is valid, but only one of two mail servers has TLSA records
    "signed.test": "UPPF PUP PPPPUPUUF PUP UPUPFF PPU PUPPUFF",
    # its name servers do not answer
    "down.test": "UUUU UUU UUUUUUUUU UUU UUUUUU UUU UUUUUUU",
}
STATUSES = {"P": Status.PASS, "F": Status.FAIL, "U": Status.UNDETERMINED}


@pytest.fixture(scope="module")
def data() -> Mapping[Any, Any]:
    return reference_zones.records()


@pytest.fixture(scope="module")
def pages() -> Mapping[tuple[str, str], Page]:
    return reference_zones.pages()


def test_table_covers_every_profile_and_zone() -> None:
    observable = {
        profile.id: tuple(clause.id for clause in profile.clauses if clause.is_observable)
        for profile in load(None)
    }
    assert observable == COLUMNS
    assert EXPECTED.keys() == reference_zones.EXPECTED.keys()


@pytest.mark.parametrize("domain", EXPECTED)
async def test_clauses_of_zone_have_expected_results(
    domain: str, data: Mapping[Any, Any], pages: Mapping[tuple[str, str], Page]
) -> None:
    zone = reference_zones.zone(domain, data, pages)
    results = [await run_check(check, reference_zones.subject(domain), zone) for check in CHECKS]
    pairs = [(result, stored_results.as_json(result)) for result in results]
    last, undetermined = serialization.merge_known_results(
        {}, pairs, scan_id="scan_1", checked_at="2026-11-30T00:00:00.000Z"
    )
    for word, result in zip(
        EXPECTED[domain].split(),
        profiles.evaluate(load(None), DomainResults(last, undetermined, Usage.BOTH)),
        strict=True,
    ):
        columns = COLUMNS[result.profile.id]
        expected = dict(zip(columns, map(STATUSES.__getitem__, word), strict=True))
        by_clause = {part.clause.id: part.status for part in result.clauses}
        hidden = {id: status for id, status in by_clause.items() if id not in expected}
        assert {id: by_clause[id] for id in expected} == expected, result.profile.id
        assert set(hidden.values()) <= {Status.NOT_OBSERVABLE}
        assert all(
            part.findings or part.facts for part in result.clauses if part.status is Status.FAIL
        )
