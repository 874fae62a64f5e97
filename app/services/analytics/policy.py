"""Readiness for a stricter DMARC policy, and simulation of a policy on past email."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from sqlalchemy.orm import Session

from app.analysis.mail import unused
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import Window
from app.analysis.policy import readiness, step_details, verdicts
from app.analysis.policy import simulation as policy_simulation
from app.analysis.policy.published import Published, effective
from app.analysis.policy.readiness import PolicyStep
from app.analysis.policy.simulation import Mail, Modes, PolicyProposal, Replay, SimulationResult
from app.analysis.policy.simulation_details import AffectedEmail, AffectedEmailIndex
from app.analysis.policy.step_details import Caveat, StepDetail
from app.analysis.policy.verdicts import Evidence, Verdict
from app.db import transactions
from app.db.transactions import transaction
from app.errors import InvalidRequest
from app.models import DmarcReport, Domain
from app.protocols import dmarc
from app.protocols.dmarc import Policy
from app.protocols.quantities import quantity
from app.services.analytics import evidence_gaps, flows, published_policies, sending
from app.services.analytics.sending import SendingReport
from app.services.core import domain_lookup
from app.services.rollups import partial_reports, rollup_queue

NO_STEP_LEFT = "The policy is reject wherever it applies, so there is no further step."
FULLY_ENFORCED = "p=reject is in place for the domain and its subdomains"
MAX_LISTED = 100  # sources in each list, unless a caller requests fewer


@dataclass(frozen=True, slots=True)
class Assessment:
    """Whether a domain is ready for the next policy step.

    steps               the next step of p, sp and np each; empty if all are at reject
    unmet_requirements  what is missing for an answer, as text
    """

    sending: SendingReport
    evidence: Evidence
    published: Published | None
    steps: Sequence[PolicyStep]
    unmet_requirements: Sequence[str]

    @property
    def is_ready(self) -> bool:
        """Whether the first step is ready."""
        return bool(self.steps and self.steps[0].is_ready)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict on the first step; None if no step is left."""
        return self.steps[0].verdict if self.steps else None

    @property
    def reason(self) -> str:
        """The reason for the verdict, as text."""
        return self.steps[0].reason if self.steps else NO_STEP_LEFT

    @property
    def headline(self) -> str:
        """The verdict on the first step as a sentence."""
        return self.steps[0].headline if self.steps else FULLY_ENFORCED

    @property
    def current(self) -> Policy | None:
        """The effective policy for the domain itself; None if no record applies."""
        if self.published is None or self.published.text is None:
            return None
        record = self.published.record
        return effective(record.p, record) or Policy.NONE

    @property
    def is_fully_enforced(self) -> bool:
        """Whether a published record rejects failed email everywhere."""
        return not self.steps and self.published is not None


@dataclass(frozen=True, slots=True)
class Readiness(Assessment):
    """An assessment with the records behind its figures.

    step_details     one element for each of ``steps``
    pending_reports  stored reports that are not in these figures yet
    partial_reports  reports with records that could not be read
    """

    domain: Domain
    window: Window
    step_details: Sequence[StepDetail]
    pending_reports: int
    partial_reports: int


@dataclass(frozen=True, slots=True)
class PolicyTrial:
    """A proposed policy; None keeps the published value, or the default.

    remove_spf  terms of the domain's SPF record as written, or the domains they include
    add_dkim    keys of sources that are assumed to sign with DKIM
    """

    p: Policy | None = None
    sp: Policy | None = None
    np: Policy | None = None
    adkim: str | None = None
    aspf: str | None = None
    remove_spf: Sequence[str] = ()
    add_dkim: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class SimulatedPolicy:
    """The result of a simulation.

    affected                          the affected email, with the records behind each figure
    reporters                         affected messages by reporter
    reporter_counts_are_upper_bounds  whether they include similar messages that are not affected
    pending_reports                   stored reports that are not in these figures yet
    partial_reports                   reports with records that could not be read
    """

    domain: Domain
    window: Window
    proposal: PolicyProposal
    replay: Replay
    confidence: str
    affected: AffectedEmail
    reporters: Counter[str]
    reporter_counts_are_upper_bounds: bool
    caveats: Sequence[Caveat]
    pending_reports: int
    partial_reports: int


@dataclass(frozen=True, slots=True)
class PolicyReview:
    """The readiness of a domain, and a simulation on the same reports.

    simulation  None if none was requested, or if the trial is invalid
    error       why the trial is invalid
    """

    readiness: Readiness
    simulation: SimulatedPolicy | None
    error: InvalidRequest | None


def assess_readiness(
    account_id: UUID, ref: str, window: Window, *, limit: int = MAX_LISTED
) -> Readiness:
    """Return the domain's readiness for a stricter policy, based on trusted reports alone.

    limit   the number of sources in each list
    raises  NotFound
    """
    rollup_queue.drain_domain(account_id, ref)
    with transaction(readonly=True, snapshot=True) as session:
        return _readiness(session, domain_lookup.owned(session, account_id, ref), window, limit)


def simulate(
    account_id: UUID, ref: str, window: Window, trial: PolicyTrial, *, limit: int = MAX_LISTED
) -> SimulatedPolicy:
    """Simulate the proposed policy on the domain's email of the window.

    limit   the number of elements in each list
    raises  NotFound; InvalidRequest for a term that is not in the SPF record, or an unknown source
    """
    rollup_queue.drain_domain(account_id, ref)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        return _simulated(session, domain, window, trial, limit)


def review(
    account_id: UUID, ref: str, window: Window, trial: PolicyTrial | None, *, limit: int
) -> PolicyReview:
    """Return the readiness, and the simulation of a trial, from the same reports.

    limit   the number of elements in each list
    raises  NotFound
    """
    rollup_queue.drain_domain(account_id, ref)
    simulation, error = None, None
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        if trial is not None:
            try:
                simulation = _simulated(session, domain, window, trial, limit)
            except InvalidRequest as invalid:
                error = invalid
        assessed = _readiness(session, domain, window, limit)
    return PolicyReview(readiness=assessed, simulation=simulation, error=error)


def _readiness(session: Session, domain: Domain, window: Window, limit: int) -> Readiness:
    assessment = assess(session, domain, window)
    report = assessment.sending
    below = unused.subdomains(domain.name, report.sources, report.identities)
    return Readiness(
        sending=report,
        evidence=assessment.evidence,
        published=assessment.published,
        steps=assessment.steps,
        unmet_requirements=assessment.unmet_requirements,
        domain=domain,
        window=window,
        step_details=[
            step_details.step_detail(step, assessment.published, below, report.flow_index, limit)
            for step in assessment.steps
        ],
        pending_reports=rollup_queue.pending_count(session, domain.id),
        partial_reports=partial_reports.count(
            session, DmarcReport, domain, window, is_trusted_only=True
        ),
    )


def assess(session: Session, domain: Domain, window: Window) -> Assessment:
    """Return the domain's readiness without record lists, in the caller's transaction.

    Unverified reports never influence readiness, because anyone can send them.
    """
    report = sending.load(session, domain, window, is_trusted_only=True)
    published = published_policies.with_time(session, domain, report.last_results)
    since = published.since if published else None
    evidence = readiness.evidence(
        report.sources,
        window_days=window.days,
        days=report.days,
        reporters=report.reporters,
        days_at_policy=(transactions.now(session) - since).days if since else None,
    )
    evidence = replace(evidence, gaps=tuple(evidence_gaps.find(session, report)))
    return Assessment(
        sending=report,
        evidence=evidence,
        published=published,
        steps=readiness.steps(
            domain.name, report.sources, dict(report.identities), evidence, published
        ),
        unmet_requirements=_unmet_requirements(session, report, evidence, published),
    )


def _unmet_requirements(
    session: Session, report: SendingReport, evidence: Evidence, published: Published | None
) -> list[str]:
    unmet = verdicts.unmet(evidence, published)
    if len(unmet) > len(evidence.gaps):
        unverified = sending.unverified_messages(session, report.domain.id, report.window)
        if unverified:
            unmet.append(
                f"trusted reports ({quantity(unverified, 'message')} in unverified reports do "
                f"not count)"
            )
    return unmet


def _simulated(
    session: Session, domain: Domain, window: Window, trial: PolicyTrial, limit: int
) -> SimulatedPolicy:
    report = sending.load(session, domain, window)
    proposal = _proposal(report, trial)
    simulation = SimulationResult(
        domain=domain.name,
        proposal=proposal,
        spf=report.context.spf,
        org_domain=report.context.org_domain,
    )
    replay = simulation.run(_mail(report))
    reporters = _reporters(session, report, replay.identities)
    by_key = {source.key: source for source in report.sources}
    affected = AffectedEmailIndex(
        domain=domain.name,
        replay=replay,
        sources=by_key,
        index=report.flow_index,
        reporters=reporters,
    )
    return SimulatedPolicy(
        domain=domain,
        window=window,
        proposal=proposal,
        replay=replay,
        confidence=policy_simulation.confidence(replay, report.days),
        affected=affected.listed(limit),
        reporters=reporters,
        reporter_counts_are_upper_bounds=bool(replay.unaffected & replay.identities),
        caveats=_caveats(report, replay),
        pending_reports=rollup_queue.pending_count(session, domain.id),
        partial_reports=partial_reports.count(session, DmarcReport, domain, window),
    )


def _mail(report: SendingReport) -> list[Mail]:
    return [
        Mail(report.identities[number], source.key, flows)
        for source in report.sources
        for number, flows in source.flows.items()
    ]


def _proposal(report: SendingReport, trial: PolicyTrial) -> PolicyProposal:
    published = published_policies.in_results(report.domain, report.last_results)
    record = published.record if published else dmarc.Record()
    p = trial.p or effective(record.p, record) or Policy.NONE
    sp = trial.sp or effective(record.sp, record) or p
    _expect_terms(report, trial.remove_spf)
    _expect_sources(report, trial.add_dkim)
    return PolicyProposal(
        p=p,
        sp=sp,
        np=trial.np or effective(record.np, record) or sp,
        modes=Modes(trial.adkim or record.adkim.value, trial.aspf or record.aspf.value),
        current=Modes(record.adkim.value, record.aspf.value),
        remove_spf=frozenset(trial.remove_spf),
        add_dkim=frozenset(trial.add_dkim),
    )


def _expect_terms(report: SendingReport, requested: Iterable[str]) -> None:
    spf = report.context.spf
    terms = {name for term in spf.terms for name in (term.text, term.domain)} if spf else set()
    for term in requested:
        if term not in terms:
            message = "not a term of the domain's SPF record in the last scan"
            raise InvalidRequest.field("removeSpf", message, "unknown")


def _expect_sources(report: SendingReport, requested: Iterable[str]) -> None:
    keys = {source.key for source in report.sources}
    for key in requested:
        if key not in keys:
            message = "not a source that sent as this domain in this period"
            raise InvalidRequest.field("addDkim", message, "unknown")


def _reporters(
    session: Session, report: SendingReport, affected: Iterable[Identity]
) -> Counter[str]:
    """Messages with these identities by reporter; unknown for rare identities."""
    numbers = {identity: number for number, identity in report.identities.items() if number > 0}
    listed = [numbers[identity] for identity in affected if identity in numbers]
    return flows.by_reporter(session, report.domain.id, report.window, listed)


def _caveats(report: SendingReport, replay: Replay) -> list[Caveat]:
    caveats = [Caveat(text, messages) for text, messages in replay.uncertain.most_common()]
    if replay.overridden:
        text = "receivers did not apply the policy to these messages, and may do so again"
        caveats.append(Caveat(text, replay.overridden))
    if "dmarc" not in report.last_results:
        text = "no scan has seen the DMARC record yet, so relaxed alignment is assumed"
        caveats.append(Caveat(text, None))
    subdomains = {name for name in replay.header_from if name != report.domain.name}
    if subdomains:
        count = sum(replay.header_from[name] for name in subdomains)
        text = "subdomains may have their own DMARC records, which apply to their email instead"
        caveats.append(Caveat(text, count))
    if rare := _rare(report, replay):
        text = "messages of many rare kinds are counted together, so their reporters are unknown"
        caveats.append(Caveat(text, rare))
    caveats.append(Caveat("receivers that send no reports are not included", None))
    return caveats


def _rare(report: SendingReport, replay: Replay) -> int:
    """Affected messages whose identities are too rare to be listed one by one."""
    return sum(
        messages
        for source in report.sources
        for number, messages in source.identities.items()
        if number < 0 and report.identities[number] in replay.identities
    )
