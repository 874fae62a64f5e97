"""May the DMARC policy of a domain be raised, and what would have happened if it had been."""

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
    """Whether the next step may be taken.

    steps    of p, sp and np: one further each; none if all are at reject
    missing  what is not known, so that nothing can be said
    """

    sending: SendingReport
    evidence: Evidence
    published: Published | None
    steps: Sequence[PolicyStep]
    unmet_requirements: Sequence[str]


@dataclass(frozen=True, slots=True)
class PolicyTrial:
    """A policy that is to be tried; None: as it is published, or the default.

    remove_spf  terms of the domain's record, as written, or the domains they include
    add_dkim    keys of sources
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
    """What would have happened.

    reporters          who told of the mail that would have been hit, with its messages
    reporters_at_most  among them are messages of the same kind that would not have been hit
    unknowns           what the reports cannot tell, in words, with the messages concerned
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
        """The records of all mail that is hit."""
        return self.sending.flow_index.part(self.replay.affected, self._common(self._mail))

    @property
    def listed_by_reporter(self) -> RecordQueryResult:
        """Those of them that one reporter told of, if the list is narrowed to that reporter."""
        narrowing = self._common(self._mail)
        told = {number for mail in self._mail if (number := mail.flows[0].identity) > 0}
        return RecordQueryResult(narrowing, (), self.sending.flow_index.is_all(narrowing, told))

    def listed_of(self, source: str) -> RecordQueryResult:
        """The records of what is hit of a source's mail."""
        mail = self.replay.mail[source]
        return self.sending.flow_index.of_flows((one.flows for one in mail), self._common(mail))

    def listed_authors(self, most: int) -> Iterator[tuple[str, int, RecordQueryResult]]:
        """The authors' domains with the most mail that is hit, its messages and its records."""
        ledger, by_author = self.sending.flow_index, dict[str, list[Mail]]()
        for one in self._mail:
            by_author.setdefault(one.identity.header_from, []).append(one)
        for author, messages in self.replay.header_from.most_common(most):
            result = self._common(by_author[author]).result
            narrowing = replace(ledger.author(author), result=result)
            yield author, messages, ledger.part(messages, narrowing)

    @property
    def _mail(self) -> list[Mail]:
        return [one for some in self.replay.mail.values() for one in some]

    def _common(self, mail: Iterable[Mail]) -> RecordQuery:
        return record_query.common(self.sending.domain.name, (one.identity for one in mail))


def assess_readiness(account_id: UUID, ref: str, window: Window) -> Readiness:
    """Whether the domain's policy may go one step up, by trusted reports alone.

    raises  NotFound
    """
    with rollup_queue.snapshot(account_id, ref) as (session, domain):
        return assess(session, domain, window)


def assess(session: Session, domain: Domain, window: Window) -> Readiness:
    """As ``may_raise``; runs in the caller's transaction.

    Unverified reports make a domain neither ready nor not ready: anybody can send them.
    """
    sending = sources.load(session, domain, window, is_trusted_only=True)
    found = readiness.evidence(
        sending.sources,
        window_days=sending.window.days,
        days=sending.days,
        reporters=sending.reporters,
    )
    published = _published(sending)
    steps = readiness.steps(
        sending.domain.name, sending.sources, dict(sending.identities), found, published
    )
    missing = []
    if published is None:
        missing.append("the DMARC record: no scan has seen it yet")
    if found.days < readiness.MIN_DAYS:
        missing.append(f"reports of {readiness.MIN_DAYS} days: there are {found.days}")
    if found.messages < readiness.MIN_MESSAGES:
        missing.append(f"{readiness.MIN_MESSAGES} good messages: there are {found.messages}")
    if missing and (unverified := sources.unverified_messages(session, domain.id, window)):
        missing.append(f"trusted reports: {unverified} messages of unverified ones do not count")
    return Readiness(sending, found, published, steps, missing)


def simulate(account_id: UUID, ref: str, window: Window, trial: PolicyTrial) -> SimulatedPolicy:
    """What would have happened to the domain's mail in the window.

    raises  NotFound; InvalidRequest for a term that the SPF record has not, or an unknown source
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
        sending, proposal, replay, policy_simulation.confidence(replay, sending.days), reporters,
        bool(replay.unaffected & replay.identities), _unknowns(sending, replay),
    )  # fmt: skip


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


def _expect_terms(sending: SendingReport, wanted: Iterable[str]) -> None:
    spf = sending.context.spf
    known = {word for term in spf.terms for word in (term.text, term.domain)} if spf else set()
    for word in wanted:
        if word not in known:
            message = "the last scan knows of no such term in the domain's SPF record"
            raise InvalidRequest([{"field": "removeSpf", "code": "unknown", "message": message}])


def _expect_sources(sending: SendingReport, wanted: Iterable[str]) -> None:
    known = {source.key for source in sending.sources}
    for key in wanted:
        if key not in known:
            message = "no such source sent as the domain in this time"
            raise InvalidRequest([{"field": "addDkim", "code": "unknown", "message": message}])


def _reporters(session: Session, sending: SendingReport, hit: Iterable[Identity]) -> Counter[str]:
    """Messages with these identities, by who reported them; of rare ones nobody knows."""
    numbers = {identity: number for number, identity in sending.identities.items() if number > 0}
    columns = (ReporterCount.reporter, ReporterCount.identity_id, ReporterCount.messages)
    told = analytics_dmarc.in_blocks(session, columns, sending.domain.id, sending.window).subquery()
    found = Counter[str]()
    for some in bulk.batched(numbers[one] for one in hit if one in numbers):
        rows = session.execute(
            select(told.c.reporter, func.sum(told.c.messages))
            .where(told.c.identity_id.in_(some))
            .group_by(told.c.reporter)
        )
        for reporter, messages in rows:
            found[reporter] += int(messages)
    return found


def _unknowns(sending: SendingReport, replay: Replay) -> list[tuple[str, int | None]]:
    found: list[tuple[str, int | None]] = list(replay.uncertain.most_common())
    if replay.overridden:
        words = "receivers did less than the policy asked when this mail came; they may again"
        found.append((words, replay.overridden))
    if "dmarc" not in sending.existing:
        found.append(("no scan has seen the DMARC record: alignment is taken to be relaxed", None))
    subdomains = {name for name in replay.header_from if name != sending.domain.name}
    if subdomains:
        count = sum(replay.header_from[name] for name in subdomains)
        words = "sub-domains may have DMARC records of their own, which hold for their mail instead"
        found.append((words, count))
    rare = _rare(sending, replay)
    if rare:
        words = (
            "of mail that is of too many kinds to tell them apart it is not told who reported it"
        )
        found.append((words, rare))
    found.append(("receivers that send no reports are not in these figures", None))
    return found


def _rare(sending: SendingReport, replay: Replay) -> int:
    """Messages that are hit, and whose identities are too rare to be told one by one."""
    return sum(
        messages
        for source in sending.sources
        for number, messages in source.identities.items()
        if number < 0 and sending.identities[number] in replay.identities
    )
