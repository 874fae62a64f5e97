"""The senders of a domain by segment: searched, sorted, and listed page by page or as a file.

There can be thousands of addresses that are not authenticated and have no name. They are one row,
which opens a list of its own.
"""

import ipaddress
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from operator import itemgetter
from typing import Any
from uuid import UUID

from app.analysis.mail import source_details
from app.analysis.mail.flow_index import FAILED, FlowIndex, RecordLink
from app.analysis.mail.periods import Window, at
from app.analysis.mail.source_details import SourceDetail
from app.analysis.mail.sources import Context, Source
from app.analysis.mail.totals import Totals
from app.analysis.policy import segments
from app.analysis.policy.segments import Segment
from app.db.transactions import transaction
from app.services.analytics import sending
from app.services.analytics.sending import SendingReport
from app.services.core import domain_lookup
from app.services.rollups import rollup_queue

PAGE_SIZE = 50
MAX_COUNT = 2**63 - 1  # in a cursor
ADDRESSES_NAME = "Unauthenticated addresses"
FILE_COLUMNS = (
    *(("key",), ("name",), ("segment",), ("classification",), ("decision",), ("reason",)),
    *(("messages",), ("passed",), ("failed",), ("dkimAligned",), ("spfAligned",)),
    *(("addresses",), ("firstSeenAt",), ("lastSeenAt",)),
)


class SenderOrder(StrEnum):
    """The order of senders: the most messages or failed messages first, or by name."""

    MESSAGES = "messages"
    FAILED = "failed"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class SenderFilter:
    """Which senders are listed, and in which order.

    q                  text in the name or in an address of a sender; empty: any
    is_addresses_only  only the unauthenticated addresses without a name, one by one
    """

    segment: Segment = Segment.ALL
    q: str = ""
    order: SenderOrder = SenderOrder.MESSAGES
    is_addresses_only: bool = False


@dataclass(frozen=True, slots=True)
class AddressGroup:
    """The unauthenticated addresses without a name, as one row."""

    addresses: int
    totals: Totals
    records: RecordLink
    failed_records: RecordLink
    first_at: datetime
    last_at: datetime


@dataclass(frozen=True, slots=True)
class SenderRow:
    """A sender, or the group of all unauthenticated addresses; the other field is None.

    is_mixed  whether a suspicious sender needs review, because it also sends other mail
    """

    detail: SourceDetail | None
    group: AddressGroup | None
    is_mixed: bool


@dataclass(frozen=True, slots=True)
class SenderPage:
    """A page of the senders that match a filter.

    rows           at most PAGE_SIZE
    counts         the number of rows in each segment, with the same search
    total          the number of rows on all pages
    totals         the sums of these rows
    cursor_values  the values that the next page starts after; None on the last page
    """

    rows: Sequence[SenderRow]
    counts: Mapping[Segment, int]
    total: int
    totals: Totals
    cursor_values: Sequence[Any] | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """The sources of one row."""

    sources: Sequence[Source]

    def position(self, order: SenderOrder) -> list[Any]:
        """The position in the list; it is unique."""
        first = self.sources[0]
        if order is SenderOrder.NAME:
            name = first.service.name if len(self.sources) == 1 else ADDRESSES_NAME
            return [name.casefold(), first.key]
        is_failed = order is SenderOrder.FAILED
        count = sum(row.failed if is_failed else row.messages for row in self.sources)
        return [-min(count, MAX_COUNT), first.key]


def page(
    report: SendingReport,
    filter: SenderFilter,
    cursor_values: Sequence[Any] | None,
    max_parts: int,
) -> SenderPage:
    """Return a page of the senders of a report.

    cursor_values  those of the previous page; None: the first page
    max_parts      the number of addresses, signatures and the like that are listed for each
    """
    matching = _matching(report, filter.q)
    listed = _within(matching, filter.segment, is_addresses_only=filter.is_addresses_only)
    entries = [_Entry([row]) for row in listed] if filter.is_addresses_only else _grouped(listed)
    positions = sorted(
        ((entry.position(filter.order), entry) for entry in entries), key=itemgetter(0)
    )
    start = list(cursor_values) if cursor_values else None
    following = [pair for pair in positions if start is None or pair[0] > start]
    shown = following[:PAGE_SIZE]
    return SenderPage(
        rows=[_row(entry, report.flow_index, report.context, max_parts) for _, entry in shown],
        counts=_counts(matching),
        total=len(entries),
        totals=_totals(listed),
        cursor_values=shown[-1][0] if len(following) > PAGE_SIZE else None,
    )


def file(
    account_id: UUID, ref: str, window: Window, filter: SenderFilter
) -> Iterator[Mapping[str, Any]]:
    """Return the senders that match as items of a file; each address has an item of its own.

    raises  NotFound
    """
    rollup_queue.drain_domain(account_id, ref)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        report = sending.load(session, domain, window)
    matching = _matching(report, filter.q)
    listed = _within(matching, filter.segment, is_addresses_only=filter.is_addresses_only)
    listed.sort(key=lambda source: _Entry([source]).position(filter.order))
    return map(_item, listed)


def _matching(report: SendingReport, q: str) -> list[Source]:
    """The sources with the text in their name, in an address, or in the name of an address."""
    text = _normalized(q)
    if not text:
        return list(report.sources)
    hosts = report.context.hosts
    named = {address for address, host in hosts.items() if text in (host.name or "").casefold()}
    return [
        source
        for source in report.sources
        if text in source.service.name.casefold()
        or any(text in address or address in named for address in source.addresses)
    ]


def _normalized(q: str) -> str:
    """The text in lower case; an address in the form in which addresses are stored."""
    text = q.strip().casefold()
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _within(
    sources: Sequence[Source], segment: Segment, *, is_addresses_only: bool
) -> list[Source]:
    return [
        source
        for source in sources
        if (segment is Segment.ALL or segments.of(source) is segment)
        and (not is_addresses_only or segments.is_single_address(source))
    ]


def _counts(sources: Sequence[Source]) -> dict[Segment, int]:
    """The number of rows in each segment; each source is classified only once."""
    counts = Counter(segments.of(source) for source in sources)
    single = sum(segments.is_single_address(source) for source in sources)
    rows = {segment: counts[segment] for segment in Segment} | {Segment.ALL: len(sources)}
    for segment in (Segment.ALL, Segment.UNAUTHENTICATED):
        rows[segment] -= max(single - 1, 0)  # these are one row
    return rows


def _grouped(sources: Sequence[Source]) -> list[_Entry]:
    """The rows of the sources; two and more unauthenticated addresses are one row."""
    single = [source for source in sources if segments.is_single_address(source)]
    if len(single) < 2:
        return [_Entry([source]) for source in sources]
    keys = {source.key for source in single}
    return [*(_Entry([source]) for source in sources if source.key not in keys), _Entry(single)]


def _totals(sources: Sequence[Source]) -> Totals:
    return Totals(
        messages=sum(source.messages for source in sources),
        passed=sum(source.passed for source in sources),
        dkim_aligned=sum(source.dkim_aligned for source in sources),
        spf_aligned=sum(source.spf_aligned for source in sources),
    )


def _row(entry: _Entry, index: FlowIndex, context: Context, max_parts: int) -> SenderRow:
    first, *others = entry.sources
    if others:
        return SenderRow(detail=None, group=_group(entry.sources, index), is_mixed=False)
    return SenderRow(
        detail=source_details.source_detail(first, index, context.hosts, max_parts),
        group=None,
        is_mixed=segments.of(first) is Segment.REVIEW and segments.is_mixed(first),
    )


def _group(sources: Sequence[Source], index: FlowIndex) -> AddressGroup:
    sums, sent = _totals(sources), Counter[str]()
    for source in sources:
        sent.update(source.addresses)
    failed = [flows for source in sources for flows in source.flows.values()]
    return AddressGroup(
        addresses=len(sources),
        totals=sums,
        records=index.of_mail(sent),
        failed_records=index.of_flows(failed, FAILED),
        first_at=at(min(source.first_hour for source in sources)),
        last_at=at(max(source.last_hour for source in sources)),
    )


def _item(source: Source) -> Mapping[str, Any]:
    segment = segments.of(source)
    return {
        "key": source.key,
        "name": source.service.name,
        "segment": None if segment is Segment.ALL else segment.value,
        "classification": source.kind.value,
        "decision": source.review.decision if source.review else None,
        "reason": source.reason,
        "messages": source.messages,
        "passed": source.passed,
        "failed": source.failed,
        "dkimAligned": source.dkim_aligned,
        "spfAligned": source.spf_aligned,
        "addresses": len(source.addresses),
        "firstSeenAt": at(source.first_hour).isoformat(),
        "lastSeenAt": at(source.last_hour).isoformat(),
    }
