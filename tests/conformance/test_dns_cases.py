"""The DNS cases have the verdicts, findings, facts and fixes that their expected.yaml names."""

import re
from typing import Any

import pytest

from app.checks import CHECKS
from app.checks.engine.draft_records import DraftResolver
from app.checks.engine.execution import run_check
from app.checks.engine.types import CheckResult, Finding, Severity, Subject
from app.checks.spf import evaluate as spf_evaluate
from tests.support.dns_cases import Case, CaseZone, cases

CASES = [pytest.param(case, id=case.id) for case in cases()]
NEXT_STEPS = {"dmarc.missing": ("dmarc.policy_none",)}  # the first record is p=none
EVALUATED = ("spf", "dmarc", "mta_sts", "tls_rpt", "bimi", "dkim")


async def scan(subject: Subject, zone: CaseZone) -> dict[str, CheckResult]:
    """The result of each check by its name."""
    return {check.name: await run_check(check, subject, zone) for check in CHECKS}


@pytest.mark.parametrize("case", CASES)
async def test_case_has_the_expected_results(case: Case) -> None:
    results = await scan(case.subject, case.zone())
    for check, expected in case.expected.get("expected", {}).items():
        _compare(expected, results[check])


@pytest.mark.parametrize("case", [case for case in CASES if "rotates" in str(case.values)])
async def test_fix_does_not_depend_on_the_order_of_the_answer(case: Case) -> None:
    first = await scan(case.subject, case.zone())
    second = await scan(case.subject, case.zone(is_rotated=True))
    for check, result in first.items():
        assert _fixes(result) == _fixes(second[check])


def _fixes(result: CheckResult) -> dict[str, str | None]:
    return {item.kind.code: item.fix.after for item in result.findings if item.fix is not None}


@pytest.mark.parametrize("case", [case for case in CASES if "spf_evaluate" in str(case.values)])
async def test_spf_result_for_an_address_is_the_expected_one(case: Case) -> None:
    for call in case.expected["spf_evaluate"]:
        evaluation = await spf_evaluate.evaluate(
            case.zone(),
            ip=call["ip"],
            mail_from=call.get("mail_from") or f"postmaster@{case.subject.domain}",
            helo=call.get("helo") or case.subject.domain,
        )
        assert evaluation.result in call["expect"].split("|"), call


@pytest.mark.parametrize("case", CASES)
async def test_every_text_fix_removes_its_finding_and_causes_no_other(case: Case) -> None:
    results = await scan(case.subject, case.zone())
    for name in EVALUATED:
        for finding in results[name].findings:
            if finding.fix is not None and finding.fix.type == "TXT":
                await _check_fix(case, results[name], finding)


async def _check_fix(case: Case, before: CheckResult, finding: Finding) -> None:
    fix = finding.fix
    assert fix is not None
    zone = case.zone()
    answer = await zone.resolve(fix.name, "TXT")
    replaced = {fix.before, *(fix.before or "").split("\n")}
    values = [text for text in answer.rdatas if text not in replaced]
    drafts = DraftResolver(
        zone, {fix.name: [*map(str, values), *([fix.after] if fix.after else [])]}
    )
    [check] = [check for check in CHECKS if check.name == before.check]
    after = await run_check(check, case.subject, drafts)
    code = finding.kind.code
    old = {item.kind.code for item in before.findings}
    new = {item.kind.code for item in after.findings if item.severity.rank < Severity.INFO.rank}
    allowed = case.expected.get("fix_may_show", {}).get(code, ())
    allowed = (*allowed, *NEXT_STEPS.get(code, ()))
    assert (code, finding.subject) not in {
        (item.kind.code, item.subject) for item in after.findings
    }, fix
    assert new - old - set(allowed) == set(), fix


def _compare(expected: Any, result: CheckResult) -> None:
    codes = {finding.kind.code for finding in result.findings}
    assert result.verdict.value in expected.get("verdict", [result.verdict.value]), result
    assert set(expected.get("findings", ())) <= codes, result
    assert not set(expected.get("not_findings", ())) & codes, result
    for name, value in expected.get("facts", {}).items():
        assert result.facts.get(name) == value, (name, result.facts)
    for code, expected_fix in expected.get("fix", {}).items():
        _compare_fix(
            expected_fix, [item for item in result.findings if code in ("*", item.kind.code)]
        )
    for code, pattern in expected.get("evidence_reason", {}).items():
        reasons = [
            str(item.evidence.get("reason", ""))
            for item in result.findings
            if item.kind.code == code
        ]
        is_forbidden = pattern.startswith("!")
        for reason in reasons:
            assert bool(re.search(pattern.removeprefix("!"), reason)) != is_forbidden, reason


def _compare_fix(expected: Any, findings: list[Finding]) -> None:
    for finding in findings:
        fix = finding.fix
        if fix is None:
            has_no_fix = (
                finding.kind.code == "*" or expected.get("or_none") or "equals" not in expected
            )
            assert has_no_fix, finding
            continue
        text = fix.after or ""
        assert text == expected.get("equals", text), fix
        assert text != expected.get("notequals"), fix
        assert fix.name == expected.get("name", fix.name), fix
        assert all(part in text for part in expected.get("contains", ())), fix
        assert not any(part in text for part in expected.get("lacks", ())), fix
