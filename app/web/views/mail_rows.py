"""Rows of the email and policy pages: figures with the URLs of the records behind them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.analysis.mail import record_query, subdomains, unused
from app.analysis.mail.periods import at
from app.analysis.mail.record_query import RecordQuery, RecordQueryResult
from app.analysis.mail.reporters import Reporter
from app.analysis.mail.sources import Source
from app.analysis.policy.readiness import Blocker, FailingSource, PolicyStep
from app.protocols.dmarc import Policy, Record
from app.services.analytics.policy import Readiness, SimulatedPolicy
from app.services.analytics.sources import SendingReport
from app.web.views.records import Links

MAX_SOURCES = 50
MAX_ADDRESSES = 5  # of one source
MAX_IDENTITIES = 5  # of one source
MAX_REPORTERS = 30
EFFECTS = {Policy.QUARANTINE: "quarantined", Policy.REJECT: "rejected"}


@dataclass(frozen=True, slots=True)
class AddressRow:
    """An address that a source sent from."""

    address: str
    messages: int
    host_name: str | None
    url: str


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A domain that a source authenticated with, with the result as reported."""

    name: str
    result: str
    messages: int
    url: str | None


@dataclass(frozen=True, slots=True)
class SourceRow:
    """A source, with the URLs of its records; None where no list has just those records."""

    source: Source
    url: str | None
    failed_url: str | None
    addresses: Sequence[AddressRow]
    signatures: Sequence[IdentityRow]
    envelopes: Sequence[IdentityRow]
    records_note: str | None
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class ReporterRow:
    """An organization that sends reports."""

    name: str
    messages: int
    has_stopped: bool
    last_at: datetime
    url: str


@dataclass(frozen=True, slots=True)
class SenderRow:
    """The messages of one sender that a policy affects."""

    name: str
    kind: str
    messages: int
    url: str | None
    is_exact: bool


@dataclass(frozen=True, slots=True)
class AffectedGroup:
    """Messages that a step affects, by sender; ``more_…`` counts those without a row."""

    summary: str
    rows: Sequence[SenderRow]
    more_senders: int
    more_messages: int


@dataclass(frozen=True, slots=True)
class BlockerRow:
    """A sender whose legitimate messages a step would affect."""

    name: str
    messages: int
    share: float
    reason: str
    remediation: str
    url: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """One step to a stricter policy; ``is_ready`` is None where the data is not enough."""

    tag: str
    current: str
    proposed: str
    is_ready: bool | None
    spoofed: AffectedGroup
    legitimate: AffectedGroup
    caveats: Sequence[str]
    blockers: Sequence[BlockerRow]
    record: str | None
    rollback: str | None


def source_rows(sending: SendingReport, links: Links) -> list[SourceRow]:
    """The sources with the most messages, the largest first."""
    return [_source_row(source, sending, links) for source in sending.sources[:MAX_SOURCES]]


def reporter_rows(reporters: Iterable[Reporter], links: Links) -> list[ReporterRow]:
    """The reporters with the most messages, the largest first."""
    return [
        ReporterRow(
            name=reporter.name,
            messages=reporter.messages,
            has_stopped=reporter.has_stopped,
            last_at=at(reporter.last),
            url=links.to(reporter=reporter.name),
        )
        for reporter in list(reporters)[:MAX_REPORTERS]
    ]


def step_rows(readiness: Readiness, links: Links) -> list[StepRow]:
    """The steps of a domain's policy, in the order of their tags."""
    published, sending = readiness.published, readiness.sending
    record = published.record if published else Record()
    names = unused.subdomains(sending.domain.name, sending.sources, sending.identities)
    rows = []
    for step in readiness.steps:
        caveats = [text for text, _ in subdomains.unknowns(step.tag, record, names)]
        rows.append(_step_row(step, caveats, sending, links))
    return rows


def affected_senders(result: SimulatedPolicy, links: Links) -> list[SenderRow]:
    """The senders whose messages a simulated policy affects, the largest first."""
    sources = {source.key: source for source in result.sending.sources}
    return [
        _sender_row(sources[key], messages, result.listed_of(key), links)
        for key, messages in result.replay.sources.most_common(MAX_SOURCES)
    ]


def _source_row(source: Source, sending: SendingReport, links: Links) -> SourceRow:
    index, hosts = sending.flow_index, sending.context.hosts
    records = index.of_source(source)
    addresses = []
    for address, messages in source.addresses.most_common(MAX_ADDRESSES):
        host = hosts.get(address)
        host_name = host.name if host else None
        addresses.append(AddressRow(address, messages, host_name, links.to(sourceIp=address)))
    signatures = [
        IdentityRow(_signature(domain, selector), result, messages, links.listed(listed))
        for (domain, selector, result), messages, listed in index.signers(source, MAX_IDENTITIES)
    ]
    envelopes = [
        IdentityRow(domain, result, messages, links.listed(listed))
        for (domain, result), messages, listed in index.envelopes(source, MAX_IDENTITIES)
    ]
    return SourceRow(
        source=source,
        url=links.listed(records),
        failed_url=links.listed(index.of_part(source, record_query.FAILED)),
        addresses=addresses,
        signatures=signatures,
        envelopes=envelopes,
        records_note=_records_note(source, records),
        first_at=at(source.first_hour),
        last_at=at(source.last_hour),
    )


def _signature(domain: str, selector: str) -> str:
    return f"{domain} ({selector})" if selector else domain


def _records_note(source: Source, records: RecordQueryResult) -> str | None:
    if not source.addresses or records.is_exact:
        return None
    if len(source.addresses) > record_query.MAX_ADDRESSES:
        return "Records are listed by address."
    return "Records are listed by address. Some of these addresses also send for other senders."


def _step_row(
    step: PolicyStep, caveats: Sequence[str], sending: SendingReport, links: Links
) -> StepRow:
    def group(summary: str, sources: Sequence[FailingSource]) -> AffectedGroup:
        rows = [
            _sender_row(
                item.source,
                item.messages,
                sending.flow_index.of_part(item.source, step.scope),
                links,
            )
            for item in sources[:MAX_SOURCES]
        ]
        rest = sources[MAX_SOURCES:]
        return AffectedGroup(summary, rows, len(rest), sum(item.messages for item in rest))

    effect = EFFECTS.get(step.proposed, "affected")
    legitimate = _messages(step.legitimate_failing, "legitimate")
    return StepRow(
        tag=step.tag,
        current=step.current.value,
        proposed=step.proposed.value,
        is_ready=step.is_ready,
        spoofed=group(
            f"{_messages(step.spoofed, 'spoofed')} would be {effect}", step.spoofing_sources
        ),
        legitimate=group(
            f"{legitimate} (forwarders, small senders) would be affected",
            step.legitimate_failing_sources,
        ),
        caveats=caveats,
        blockers=[_blocker_row(item, step.scope, sending, links) for item in step.blockers],
        record=step.record,
        rollback=step.rollback,
    )


def _blocker_row(
    blocker: Blocker, narrowing: RecordQuery, sending: SendingReport, links: Links
) -> BlockerRow:
    return BlockerRow(
        name=blocker.source.service.name,
        messages=blocker.messages,
        share=blocker.share,
        reason=blocker.reason,
        remediation=blocker.remediation,
        url=links.listed(sending.flow_index.of_part(blocker.source, narrowing)),
    )


def _sender_row(
    source: Source, messages: int, listed: RecordQueryResult, links: Links
) -> SenderRow:
    return SenderRow(
        name=source.service.name,
        kind=source.kind.value,
        messages=messages,
        url=links.listed(listed),
        is_exact=listed.is_exact,
    )


def _messages(count: int, adjective: str) -> str:
    return f"{count:,} {adjective} message{'' if count == 1 else 's'}"
