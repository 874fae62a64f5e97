"""Verdicts agree with facts, and no failed lookup makes a result better or a record missing."""

from collections.abc import Mapping
from typing import Any

import pytest

from app.checks import CHECKS
from app.checks.engine.execution import run_check
from app.checks.engine.types import CheckResult, Subject, Verdict
from app.checks.spf import evaluate as spf_evaluate
from app.ports.dns import Answer, LookupFailed
from app.ports.network import NetworkSession
from tests.support.dns_cases import Case, CaseZone, cases

CASES = [pytest.param(case, id=case.id) for case in cases()]
ORDER = [Verdict.OK, Verdict.INFO, Verdict.WARN, Verdict.FAIL, Verdict.UNDETERMINED]
ADDRESSES = ["192.0.2.10", "203.0.113.77", "2001:db8::10", "2001:db8:77::1"]


class FailingZone(CaseZone):
    """The zone of a case that does not answer one query."""

    def __init__(self, case: Case, failing: tuple[str, str]) -> None:
        super().__init__(case.records, case.expected)
        self._failing = failing

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if (name, rdtype) == self._failing:
            raise LookupFailed(name, rdtype, "timeout")
        return await super().resolve(name, rdtype, checking_disabled=checking_disabled)


async def scan(subject: Subject, zone: NetworkSession) -> Mapping[str, CheckResult]:
    """The result of each check by its name."""
    return {check.name: await run_check(check, subject, zone) for check in CHECKS}


@pytest.mark.parametrize("case", CASES)
async def test_failed_lookup_makes_nothing_better_and_nothing_missing(case: Case) -> None:
    for check in CHECKS:
        before = await run_check(check, case.subject, case.zone())
        for name, rdtype in {(record.name, record.type) for record in before.records}:
            after = await run_check(check, case.subject, FailingZone(case, (name, rdtype)))
            assert is_not_better(before, after), (check.name, name, rdtype)
            new = {f.kind.code for f in after.findings} - {f.kind.code for f in before.findings}
            missing = {code for code in new if "missing" in code or "not_found" in code}
            assert missing == set(), (name, rdtype)


def is_not_better(before: CheckResult, after: CheckResult) -> bool:
    """Whether the verdict is not better, or not definite because of the failure."""
    is_as_bad = ORDER.index(after.verdict) >= ORDER.index(before.verdict)
    return is_as_bad or not after.definite


@pytest.mark.parametrize("case", CASES)
async def test_spf_verdict_agrees_with_its_result_and_with_evaluations(case: Case) -> None:
    zone = case.zone()
    [spf] = [check for check in CHECKS if check.name == "spf"]
    result = await run_check(spf, case.subject, zone)
    facts: Mapping[str, Any] = result.facts
    if facts.get("result") == "permerror":
        assert result.verdict is Verdict.FAIL
    has_macro = any(item.kind.code == "spf.exists_macro" for item in result.findings)
    if result.verdict is Verdict.UNDETERMINED or has_macro:  # it depends on the message
        return
    domain = case.subject.domain
    for ip in ADDRESSES:
        evaluation = await spf_evaluate.evaluate(zone, ip=ip, mail_from=f"a@{domain}", helo=domain)
        if evaluation.result is spf_evaluate.Result.PERMERROR:
            assert result.verdict in (Verdict.WARN, Verdict.FAIL), (ip, evaluation)
        if facts.get("result") == "none":
            assert evaluation.result is spf_evaluate.Result.NONE
