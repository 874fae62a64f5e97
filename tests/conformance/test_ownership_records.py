"""The record that verifies a domain changes no result of a scan of that domain."""

import pytest

from app.checks.engine.runner import ScanResult
from app.checks.engine.types import Verdict
from app.ports.dns import Rdata
from app.services.domains import verification_recheck
from tests.support import fixed_zones
from tests.support.dns_cases import Case, cases

OWNERSHIP: list[Rdata] = ["mailwatch-verification=0123456789"]
CASES = [pytest.param(case, id=case.id) for case in cases()]


@pytest.mark.parametrize("case", CASES)
async def test_ownership_record_adds_no_finding_and_no_verdict(case: Case) -> None:
    name = verification_recheck.record_name(case.subject.domain)
    before = await fixed_zones.scan(case.subject, case.zone())
    records = {**case.records, (name, "TXT"): OWNERSHIP}
    after = await fixed_zones.scan(case.subject, case.zone(records))
    assert fixed_zones.findings(after).keys() == fixed_zones.findings(before).keys()
    assert verdicts(after) == verdicts(before)


def verdicts(result: ScanResult) -> dict[str, Verdict]:
    """The verdict of each check."""
    return {check.check: check.verdict for check in result.check_results}
