"""An answer that is missing never makes a result better, and neither opens nor resolves an alert.

Every check is run with all zones of the tests, as they are and with faults at random, and again for
each of its questions without the answer to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import cycle
from typing import Any, NamedTuple

import pytest

from app.analysis.scan import root_causes
from app.checks import CHECKS
from app.checks.engine import stored_results
from app.checks.engine.execution import run_check
from app.checks.engine.types import CheckResult, Subject, Verdict
from app.ports.http import Page
from app.ports.network import NetworkSession
from app.ports.smtp import TlsProbe
from app.rules import RULES
from app.rules.engine import reconcile
from app.rules.engine.types import Posture
from app.rules.scans import causes
from app.rules.scans import dns as changes
from app.rules.scans.causes import ScanCauses
from tests.support import reference_zones
from tests.support.dns_cases import cases
from tests.support.missing_answers import Asked, Changed, Question

NOW = datetime(2026, 11, 1, tzinfo=UTC)
VARIANTS = 4  # of each zone; the first one has no faults
REASONS = ("timeout", "servfail", "refused", "network", "garbage", "budget")
ORDER = (Verdict.OK, Verdict.INFO, Verdict.WARN, Verdict.FAIL)


class Zone(NamedTuple):
    """A domain and the network that its checks see."""

    id: str
    subject: Subject
    network: NetworkSession


@dataclass
class Alert:
    """An alert that is open."""

    type: str
    subject: str


@dataclass(frozen=True)
class Baseline:
    """The results of the checks of a domain with every answer.

    questions  of each check
    """

    subject: Subject
    network: NetworkSession
    results: Mapping[str, CheckResult]
    questions: Mapping[str, Sequence[Question]]


def zones() -> Iterator[Zone]:
    """The zones of tests/data."""
    for case in cases():
        yield Zone(case.id, case.subject, case.zone())
    records, pages = reference_zones.records(), reference_zones.pages()
    for domain in reference_zones.EXPECTED:
        network = reference_zones.zone(domain, records, pages)
        yield Zone(domain, reference_zones.subject(domain), network)


ZONES = [pytest.param(zone, id=zone.id) for zone in zones()]


async def run_all(
    subject: Subject, network: NetworkSession
) -> tuple[dict[str, CheckResult], dict[str, list[Question]]]:
    """The results of all checks, and the questions of each."""
    results, questions = {}, {}
    for check in CHECKS:
        asked = Asked(network)
        results[check.name] = await run_check(check, subject, asked)
        questions[check.name] = list(asked.questions)
    return results, questions


async def baseline(zone: Zone, variant: int) -> Baseline:
    """The results of the second scan of the zone, so that there are earlier facts."""
    network, subject = zone.network, replace(zone.subject, now=NOW)
    if variant:
        _, questions = await run_all(subject, network)
        names = sorted({question for asked in questions.values() for question in asked})
        network = Changed.at_random(network, names, f"{zone.id} {variant}")
    first, _ = await run_all(subject, network)
    hosts = first["mx"].facts.get("hosts", ())
    subject = replace(
        subject,
        last_facts={result.check: result.facts for result in first.values() if result.definite},
        tls_probes={host: TlsProbe(host, offers_tls=True, probed_at=NOW) for host in hosts[:2]},
    )
    results, questions = await run_all(subject, network)
    return Baseline(subject=subject, network=network, results=results, questions=questions)


def without(network: NetworkSession, question: Question, reason: str) -> Iterator[Asked]:
    """The network without the answer to the question, and with each failure of its page."""
    yield Asked(network, question, reason)
    url, rdtype = question
    if rdtype == "HTTPS":
        pages = [Page(url, failure=failure) for failure in ("tls", "redirect", "no_address")]
        for page in (*pages, Page(url, status=503), Page(url, status=429)):
            yield Asked(network, question, page=page)


def findings(result: CheckResult) -> set[tuple[str, str]]:
    """The codes and subjects of the findings."""
    return {(finding.kind.code, finding.subject) for finding in result.findings}


def problems(before: CheckResult, after: CheckResult) -> Iterator[str]:
    """What is wrong in the result after an answer went missing."""
    if after.verdict is Verdict.UNDETERMINED:
        if after.definite or not after.reason:
            yield "undetermined, but definite or without a reason"
    elif before.verdict is Verdict.UNDETERMINED:
        if after.verdict is not Verdict.FAIL:
            yield f"{after.verdict} instead of undetermined"
        return
    elif ORDER.index(after.verdict) < ORDER.index(before.verdict):
        yield f"{after.verdict} is better than {before.verdict}"
    if not after.definite and after.verdict in (Verdict.OK, Verdict.INFO):
        yield f"{after.verdict}, but not definite"
    yield from differences(before, after)


def differences(before: CheckResult, after: CheckResult) -> Iterator[str]:
    """Findings that must not appear or disappear because of a missing answer."""
    transient = {finding.kind.code for finding in after.findings if finding.kind.flaps}
    concealed = {code for finding in after.findings for code in finding.kind.conceals}
    for code, subject in findings(after) - findings(before):
        if code not in transient:
            yield f"{code} of {subject} appeared"
    for code, subject in findings(before) - findings(after):
        if after.definite and code not in concealed:
            yield f"{code} of {subject} disappeared"


@pytest.mark.parametrize("zone", ZONES)
async def test_missing_answer_never_makes_a_result_better(zone: Zone) -> None:
    found, reasons = [], cycle(REASONS)
    for variant in range(VARIANTS):
        base = await baseline(zone, variant)
        for check in CHECKS:
            before = base.results[check.name]
            for question in base.questions[check.name]:
                for network in without(base.network, question, next(reasons)):
                    after = await run_check(check, base.subject, network)
                    for problem in problems(before, after):
                        found.append(f"{check.name}, variant {variant}, {question}: {problem}")
    assert not found


def planned(
    base: Baseline,
    results: Mapping[str, CheckResult],
    last: Mapping[str, Any],
    alerts: Sequence[Alert],
) -> reconcile.Plan[Alert]:
    """The changes of the alerts after a scan, as they are made when the results are stored."""
    domain, root = base.subject.domain, causes.root(results.values(), last)
    now = changes.between(domain, last, results.values(), NOW)
    posture = Posture(
        domain=domain,
        now=NOW,
        check_results=results,
        changes=causes.with_root_causes(now, root_causes.of_stored(last), root),
        last_results=last,
    )
    return reconcile.plan(alerts, posture, RULES, ScanCauses(posture, root))


@pytest.mark.parametrize("zone", ZONES)
async def test_missing_answer_neither_opens_nor_resolves_an_alert(zone: Zone) -> None:
    found, reasons = [], cycle(REASONS)
    for variant in range(VARIANTS // 2):
        base = await baseline(zone, variant)
        last = {
            check: stored_results.as_json(result)
            for check, result in base.results.items()
            if result.definite
        }
        opened = planned(base, base.results, last, ()).opened
        alerts = [Alert(draft.type, draft.subject) for draft in opened]
        for question in dict.fromkeys(q for asked in base.questions.values() for q in asked):
            for network in without(base.network, question, next(reasons)):
                results = dict(base.results)
                for check in CHECKS:
                    if question in base.questions[check.name]:
                        results[check.name] = await run_check(check, base.subject, network)
                plan = planned(base, results, last, alerts)
                found += [f"variant {variant}, {question}: {alert}" for alert in plan.resolved]
                found += [
                    f"variant {variant}, {question}: {draft.type} {draft.subject}"
                    for draft in plan.opened
                ]
    assert not found


def test_finding_types_conceal_findings_of_the_same_check() -> None:
    for check in CHECKS:
        codes = {kind.code for kind in check.finds}
        for kind in check.finds:
            assert set(kind.conceals) <= codes - {kind.code}
            assert kind.flaps or not kind.conceals
