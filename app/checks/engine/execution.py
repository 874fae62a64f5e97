"""Runs one check: records its evidence, decides its verdict, and proves its fixes."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from app.checks.engine import evidence
from app.checks.engine.evidence import Recorder
from app.checks.engine.proof import CheckRun, prove
from app.checks.engine.types import Check, CheckResult, Finding, Outcome, Subject, Verdict
from app.ports.dns import LookupFailed
from app.ports.network import NetworkSession

logger = logging.getLogger(__name__)


async def run_check(check: Check, subject: Subject, dns: NetworkSession) -> CheckResult:
    """The result of the check alone; see ``run_recorded``."""
    return (await run_recorded(check, subject, dns)).result


async def run_recorded(check: Check, subject: Subject, dns: NetworkSession) -> CheckRun:
    """The run of the check; undetermined if DNS fails, or because of a bug (logged)."""
    recorder = Recorder(dns)
    started = time.monotonic()
    outcome: Outcome | None = None
    reason: str | None = None
    try:
        outcome = await check.run(subject, recorder)
        reason = str(outcome.failure) if outcome.failure else None
    except LookupFailed as error:
        reason = str(error)
    except Exception:  # a bug in one check must not stop the others
        logger.exception("check failed", extra={"check": check.name, "domain": subject.domain})
        reason = "the check failed because of an internal error"
    findings = await prove(check, subject, recorder, outcome) if outcome else ()
    records = recorder.records()
    facts = outcome.facts if outcome else {"undetermined": True}
    if evidence.size(records) > evidence.SMALL_VALUE:
        records = evidence.EvidenceBudget().bounded(records)
        facts, findings = _bounded(facts, findings)
    result = CheckResult(
        check=check.name,
        logic_version=check.logic_version,
        verdict=outcome.verdict if outcome else Verdict.UNDETERMINED,
        facts=facts,
        findings=findings,
        records=records,
        elapsed_ms=round((time.monotonic() - started) * 1000),
        definite=outcome.definite if outcome else False,
        reason=reason,
    )
    return CheckRun(check=check, recorder=recorder, outcome=outcome, result=result)


def _bounded(
    facts: Mapping[str, Any], findings: Sequence[Finding]
) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
    """Facts and findings with long texts truncated; a fix that is too long is left out."""
    allowance = evidence.EvidenceBudget()
    facts = allowance.bounded(facts)
    return facts, tuple(
        replace(
            finding,
            subject=evidence.truncate(finding.subject, evidence.MAX_SUBJECT),
            evidence=allowance.bounded(finding.evidence),
            fix=finding.fix if finding.fix and allowance.fits(finding.fix.size) else None,
        )
        for finding in findings
    )
