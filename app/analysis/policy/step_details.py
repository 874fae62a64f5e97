"""Policy steps with the sources that they affect, the caveats, and the record to publish."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.analysis.mail.flow_index import FlowIndex
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.source_details import Linked
from app.analysis.mail.unused import Subdomain
from app.analysis.policy import blockers, segments, subdomains
from app.analysis.policy.blockers import Blocker, FailingSource
from app.analysis.policy.published import Published
from app.analysis.policy.readiness import PolicyStep
from app.protocols.dmarc import Policy, Record

MAILING_LISTS = (
    "with reject, email that your users send to mailing lists may be lost, also at receivers that "
    "send no reports; tell your users before you publish it (RFC 9989 §7.4)"
)


@dataclass(frozen=True, slots=True)
class Caveat:
    """Something that the reports do not show.

    messages  the number of messages that it concerns; None if that is unknown
    """

    description: str
    messages: int | None


@dataclass(frozen=True, slots=True)
class AffectedSources:
    """The sources of messages that a step affects, the most messages first.

    other_sources, other_messages  the sources that are not listed, and their messages
    """

    sources: Sequence[Linked[FailingSource]]
    other_sources: int
    other_messages: int


@dataclass(frozen=True, slots=True)
class StepPart:
    """A part of the messages that a step affects, by who sent them.

    messages          all of them
    addresses         sources of which only the address is known; they are not among ``senders``
    address_messages  their messages, with the records behind them
    """

    messages: int
    senders: AffectedSources
    addresses: int
    address_messages: Linked[int]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """The record to publish, and how to undo it.

    before   the record that is published now; None if there is none
    remarks  the tags of ``before`` that ``after`` leaves out, and why
    """

    name: str
    before: str | None
    after: str
    rollback: str
    remarks: Sequence[str]


@dataclass(frozen=True, slots=True)
class StepDetail:
    """A policy step with the records behind its figures.

    own        legitimate messages, with those of blockers
    to_review  messages of sources that are not classified, without those that are ignored
    stopped    spoofed messages
    """

    step: PolicyStep
    blockers: Sequence[Linked[Blocker]]
    own: StepPart
    to_review: StepPart
    stopped: StepPart
    legitimate: AffectedSources
    spoofed: AffectedSources
    caveats: Sequence[Caveat]
    change: RecordChange | None


def step_detail(
    step: PolicyStep,
    published: Published | None,
    below: Sequence[Subdomain],
    index: FlowIndex,
    max_sources: int,
) -> StepDetail:
    """Return the step with at most ``max_sources`` sources in each list.

    below  the subdomains that send
    """
    record = published.record if published else Record()

    def part(sources: Sequence[FailingSource]) -> StepPart:
        return _part(sources, step.scope, index, max_sources)

    return StepDetail(
        step=step,
        own=part(step.own_sources),
        to_review=part(step.sources_to_review),
        stopped=part(step.spoofing_sources),
        blockers=[
            Linked(blocker, index.of_part(blocker.source, step.scope)) for blocker in step.blockers
        ],
        legitimate=_affected(step.legitimate_failing_sources, step.scope, index, max_sources),
        spoofed=_affected(step.spoofing_sources, step.scope, index, max_sources),
        caveats=list(_caveats(step, record, below)),
        change=_change(step, published),
    )


def _caveats(step: PolicyStep, record: Record, below: Sequence[Subdomain]) -> Iterator[Caveat]:
    for text, messages in subdomains.unknowns(step.tag, record, below):
        yield Caveat(text, messages)
    if step.highest is Policy.REJECT:
        yield Caveat(MAILING_LISTS, None)


def _part(
    sources: Sequence[FailingSource], scope: RecordFilter, index: FlowIndex, max_sources: int
) -> StepPart:
    single = [row for row in sources if segments.is_single_address(row.source)]
    keys = {row.source.key for row in single}
    sent = Counter[str]()
    for row in single:
        sent.update(dict.fromkeys(row.source.addresses, row.messages))
    senders = [row for row in sources if row.source.key not in keys]
    return StepPart(
        messages=blockers.total(sources),
        senders=_affected(senders, scope, index, max_sources),
        addresses=len(single),
        address_messages=Linked(sent.total(), index.of_mail(sent, scope)),
    )


def _affected(
    sources: Sequence[FailingSource], scope: RecordFilter, index: FlowIndex, max_sources: int
) -> AffectedSources:
    others = sources[max_sources:]
    return AffectedSources(
        sources=[
            Linked(failing, index.of_part(failing.source, scope))
            for failing in sources[:max_sources]
        ],
        other_sources=len(others),
        other_messages=sum(failing.messages for failing in others),
    )


def _change(step: PolicyStep, published: Published | None) -> RecordChange | None:
    if published is None or not step.record:
        return None
    return RecordChange(
        name=published.name,
        before=step.rollback,
        after=step.record,
        remarks=step.remarks,
        rollback=step.rollback or f"Remove the record at {published.name} again.",
    )
