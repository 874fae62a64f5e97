"""Readiness for a stricter DMARC policy, and simulation of a policy on past email."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.analysis.mail import record_query
from app.analysis.mail.identities import Identity
from app.analysis.mail.periods import Window
from app.analysis.mail.record_query import RecordQuery, RecordQueryResult
from app.analysis.policy import readiness
from app.analysis.policy import simulation as policy_simulation
from app.analysis.policy.readiness import Evidence, PolicyStep, Published
from app.analysis.policy.simulation import Mail, Modes, PolicyProposal, Replay, SimulationResult
from app.db import bulk
from app.errors import InvalidRequest
from app.models import Domain, ReporterCount
from app.protocols import dmarc
from app.protocols.dmarc import Policy
from app.services.analytics import dmarc as analytics_dmarc
from app.services.analytics import rollup_queue, sources
from app.services.analytics.sources import SendingReport


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a domain is ready for the next policy step.

    steps    the next step of p, sp and np each; empty if all are at reject
    missing  what is needed before readiness can be decided
    """

    sending: SendingReport
    evidence: Evidence
    published: Published | None
    steps: Sequence[PolicyStep]
    unmet_requirements: Sequence[str]


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

    reporters          affected messages by reporter
    reporters_at_most  whether these counts include similar messages that are not affected
    unknowns           what the reports do not show, as text with the number of messages
    """

    sending: SendingReport
    proposal: PolicyProposal
    replay: Replay
    confidence: str
    reporters: Counter[str]
    reporter_counts_are_upper_bounds: bool
    caveats: Sequence[tuple[str, int | None]] = field(default_factory=list)

    @property
    def listed(self) -> RecordQueryResult:
        """The records of all affected email."""
        return self.sending.flow_index.part(self.replay.affected, self._common(self._mail))

    @property
    def listed_by_reporter(self) -> RecordQueryResult:
        """The records of affected email, for lists that are filtered by one reporter."""
        narrowing = self._common(self._mail)
        identities = {number for mail in self._mail if (number := mail.flows[0].identity) > 0}
        return RecordQueryResult(
            narrowing, (), self.sending.flow_index.is_all(narrowing, identities)
        )

    def listed_of(self, source: str) -> RecordQueryResult:
        """The records of a source's affected email."""
        affected = self.replay.mail[source]
        return self.sending.flow_index.of_flows(
            (mail.flows for mail in affected), self._common(affected)
        )

    def listed_authors(self, most: int) -> Iterator[tuple[str, int, RecordQueryResult]]:
        """The From domains with the most affected email, with its messages and records."""
        ledger, by_author = self.sending.flow_index, dict[str, list[Mail]]()
        for mail in self._mail:
            by_author.setdefault(mail.identity.header_from, []).append(mail)
        for author, messages in self.replay.header_from.most_common(most):
            result = self._common(by_author[author]).result
            narrowing = replace(ledger.author(author), result=result)
            yield author, messages, ledger.part(messages, narrowing)

    @property
    def _mail(self) -> list[Mail]:
        return [mail for source_mail in self.replay.mail.values() for mail in source_mail]

    def _common(self, mail: Iterable[Mail]) -> RecordQuery:
        return record_query.common(self.sending.domain.name, (item.identity for item in mail))


def assess_readiness(account_id: UUID, ref: str, window: Window) -> Readiness:
    """The domain's readiness for a stricter policy, based on trusted reports alone.

    raises  NotFound
    """
    with rollup_queue.snapshot(account_id, ref) as (session, domain):
        return assess(session, domain, window)


def assess(session: Session, domain: Domain, window: Window) -> Readiness:
    """As ``may_raise``, in the caller's transaction.

    Unverified reports never influence readiness, because anyone can send them.
    """
    sending = sources.load(session, domain, window, is_trusted_only=True)
    evidence = readiness.evidence(
        sending.sources,
        window_days=sending.window.days,
        days=sending.days,
        reporters=sending.reporters,
    )
    published = _published(sending)
    steps = readiness.steps(
        sending.domain.name, sending.sources, dict(sending.identities), evidence, published
    )
    missing = []
    if published is None:
        missing.append("a scan of the DMARC record")
    if evidence.days < readiness.MIN_DAYS:
        missing.append(f"reports from {readiness.MIN_DAYS} days (received so far: {evidence.days})")
    if evidence.messages < readiness.MIN_MESSAGES:
        missing.append(
            f"{readiness.MIN_MESSAGES} legitimate messages (reported so far: {evidence.messages})"
        )
    if missing and (unverified := sources.unverified_messages(session, domain.id, window)):
        missing.append(
            f"trusted reports ({unverified} messages in unverified reports do not count)"
        )
    return Readiness(sending, evidence, published, steps, missing)


def simulate(account_id: UUID, ref: str, window: Window, trial: PolicyTrial) -> SimulatedPolicy:
    """Simulate the proposed policy on the domain's email of the window.

    raises  NotFound; InvalidRequest for a term that is not in the SPF record, or an unknown source
    """
    with rollup_queue.snapshot(account_id, ref) as (session, domain):
        sending = sources.load(session, domain, window)
        proposal = _proposal(sending, trial)
        simulation = SimulationResult(
            domain.name, proposal, sending.context.spf, sending.context.walked
        )
        replay = simulation.run(_mail(sending))
        reporters = _reporters(session, sending, replay.identities)
    return SimulatedPolicy(
        sending,
        proposal,
        replay,
        policy_simulation.confidence(replay, sending.days),
        reporters,
        bool(replay.unaffected & replay.identities),
        _unknowns(sending, replay),
    )


def _mail(sending: SendingReport) -> list[Mail]:
    return [
        Mail(sending.identities[number], source.key, flows)
        for source in sending.sources
        for number, flows in source.flows.items()
    ]


def _published(sending: SendingReport) -> Published | None:
    facts = sending.existing.get("dmarc", {}).get("facts")
    if not facts:
        return None
    own_name = f"_dmarc.{sending.domain.name}"
    text = facts.get("record")
    if text is None:
        return Published(own_name, None, dmarc.Record())
    record = dmarc.parse_record(text)
    if facts["record_at"] != sending.domain.name:
        return readiness.inherited(own_name, text, record, facts.get("policy_tag"))
    is_organizational = facts.get("org_domain") in (None, sending.domain.name)
    return Published(own_name, text, record, is_organizational=is_organizational)


def _proposal(sending: SendingReport, trial: PolicyTrial) -> PolicyProposal:
    published = _published(sending)
    record = published.record if published else dmarc.Record()
    p = trial.p or readiness.is_covered(record.p, record) or Policy.NONE
    sp = trial.sp or readiness.is_covered(record.sp, record) or p
    _expect_terms(sending, trial.remove_spf)
    _expect_sources(sending, trial.add_dkim)
    return PolicyProposal(
        p=p,
        sp=sp,
        np=trial.np or readiness.is_covered(record.np, record) or sp,
        modes=Modes(trial.adkim or record.adkim.value, trial.aspf or record.aspf.value),
        current=Modes(record.adkim.value, record.aspf.value),
        remove_spf=frozenset(trial.remove_spf),
        add_dkim=frozenset(trial.add_dkim),
    )


def _expect_terms(sending: SendingReport, requested: Iterable[str]) -> None:
    spf = sending.context.spf
    terms = {name for term in spf.terms for name in (term.text, term.domain)} if spf else set()
    for term in requested:
        if term not in terms:
            message = "not a term of the domain's SPF record in the last scan"
            raise InvalidRequest.field("removeSpf", message, "unknown")


def _expect_sources(sending: SendingReport, requested: Iterable[str]) -> None:
    keys = {source.key for source in sending.sources}
    for key in requested:
        if key not in keys:
            message = "not a source that sent as this domain in this period"
            raise InvalidRequest.field("addDkim", message, "unknown")


def _reporters(
    session: Session, sending: SendingReport, affected: Iterable[Identity]
) -> Counter[str]:
    """Messages with these identities by reporter; unknown for rare identities."""
    numbers = {identity: number for number, identity in sending.identities.items() if number > 0}
    columns = (ReporterCount.reporter, ReporterCount.identity_id, ReporterCount.messages)
    counts = analytics_dmarc.in_blocks(
        session, columns, sending.domain.id, sending.window
    ).subquery()
    by_reporter = Counter[str]()
    for part in bulk.batched(numbers[identity] for identity in affected if identity in numbers):
        rows = session.execute(
            select(counts.c.reporter, func.sum(counts.c.messages))
            .where(counts.c.identity_id.in_(part))
            .group_by(counts.c.reporter)
        )
        for reporter, messages in rows:
            by_reporter[reporter] += int(messages)
    return by_reporter


def _unknowns(sending: SendingReport, replay: Replay) -> list[tuple[str, int | None]]:
    unknowns: list[tuple[str, int | None]] = list(replay.uncertain.most_common())
    if replay.overridden:
        text = "receivers did not apply the policy to these messages, and may do so again"
        unknowns.append((text, replay.overridden))
    if "dmarc" not in sending.existing:
        unknowns.append(
            ("no scan has seen the DMARC record yet, so relaxed alignment is assumed", None)
        )
    subdomains = {name for name in replay.header_from if name != sending.domain.name}
    if subdomains:
        count = sum(replay.header_from[name] for name in subdomains)
        text = "subdomains may have their own DMARC records, which apply to their email instead"
        unknowns.append((text, count))
    rare = _rare(sending, replay)
    if rare:
        text = "messages of many rare kinds are counted together, so their reporters are unknown"
        unknowns.append((text, rare))
    unknowns.append(("receivers that send no reports are not included", None))
    return unknowns


def _rare(sending: SendingReport, replay: Replay) -> int:
    """Affected messages whose identities are too rare to be listed one by one."""
    return sum(
        messages
        for source in sending.sources
        for number, messages in source.identities.items()
        if number < 0 and sending.identities[number] in replay.identities
    )
