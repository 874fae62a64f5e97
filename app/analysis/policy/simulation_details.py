"""The affected email of a simulation by sender, author and reporter, with the records behind it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.flow_index import FlowIndex, RecordLink, common_filter
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.source_details import HeaderFromCount, Linked
from app.analysis.mail.sources import Source
from app.analysis.policy import segments
from app.analysis.policy.simulation import Mail, Replay


@dataclass(frozen=True, slots=True)
class SourceMessages:
    """The affected messages of one source."""

    source: Source
    messages: int


@dataclass(frozen=True, slots=True)
class ReporterMessages:
    """The affected messages that one reporter reported."""

    reporter: str
    messages: int


@dataclass(frozen=True, slots=True)
class AffectedPart:
    """A part of the affected email, by the classification of its sources.

    forwarded  the messages of forwarders and mailing lists; only your own email has some
    addresses  sources of which only the address is known; they are not among ``sources``
    sources    at most as many as are listed, the most messages first
    """

    messages: int
    forwarded: int
    source_count: int
    addresses: int
    address_messages: int
    sources: Sequence[Linked[SourceMessages]]


@dataclass(frozen=True, slots=True)
class AffectedEmail:
    """The email that a simulated policy affects; each sequence has the most messages first.

    own        of own and approved sources, also if forwarders relayed it
    to_review  of sources that are not classified yet
    spoofed    of suspicious and blocked sources
    """

    records: RecordLink
    own: AffectedPart
    to_review: AffectedPart
    spoofed: AffectedPart
    sources: Sequence[Linked[SourceMessages]]
    header_from: Sequence[Linked[HeaderFromCount]]
    reporters: Sequence[Linked[ReporterMessages]]


@dataclass(frozen=True, slots=True)
class AffectedEmailIndex:
    """The affected email of a replay, from which the lists are made.

    sources    the sources of the window by key
    reporters  affected messages by reporter
    """

    domain: str
    replay: Replay
    sources: Mapping[str, Source]
    index: FlowIndex
    reporters: Counter[str]

    def listed(self, limit: int) -> AffectedEmail:
        """Return the lists with at most ``limit`` elements each."""
        mail = [item for source_mail in self.replay.mail.values() for item in source_mail]
        filter, listed = self._common(mail), list(self._by_source(limit))
        return AffectedEmail(
            records=self.index.part(self.replay.affected, filter),
            own=self._part(listed, SourceClass.OWN, SourceClass.FORWARDER),
            to_review=self._part(listed, SourceClass.UNKNOWN),
            spoofed=self._part(listed, SourceClass.SUSPICIOUS),
            sources=listed,
            header_from=list(self._by_author(mail, limit)),
            reporters=list(self._by_reporter(mail, filter, limit)),
        )

    def _part(self, listed: Iterable[Linked[SourceMessages]], *kinds: SourceClass) -> AffectedPart:
        """The part of the sources with these classifications."""
        counts = {
            key: messages
            for key, messages in self.replay.sources.items()
            if messages and self.sources[key].kind in kinds
        }
        single = {
            key: messages
            for key, messages in counts.items()
            if segments.is_single_address(self.sources[key])
        }
        return AffectedPart(
            messages=sum(counts.values()),
            forwarded=sum(
                messages
                for key, messages in counts.items()
                if self.sources[key].kind is SourceClass.FORWARDER
            ),
            source_count=len(counts),
            addresses=len(single),
            address_messages=sum(single.values()),
            sources=[row for row in listed if row.figure.source.key in counts.keys() - single],
        )

    def _by_source(self, limit: int) -> Iterator[Linked[SourceMessages]]:
        for key, messages in self.replay.sources.most_common(limit):
            mail = self.replay.mail[key]
            records = self.index.of_flows((item.flows for item in mail), self._common(mail))
            yield Linked(SourceMessages(self.sources[key], messages), records)

    def _by_author(self, mail: Iterable[Mail], limit: int) -> Iterator[Linked[HeaderFromCount]]:
        by_author: dict[str, list[Mail]] = {}
        for item in mail:
            by_author.setdefault(item.identity.header_from, []).append(item)
        for author, messages in self.replay.header_from.most_common(limit):
            result = self._common(by_author[author]).result
            filter = replace(self.index.author(author), result=result)
            yield Linked(HeaderFromCount(author, messages), self.index.part(messages, filter))

    def _by_reporter(
        self, mail: Iterable[Mail], filter: RecordFilter, limit: int
    ) -> Iterator[Linked[ReporterMessages]]:
        numbers = {number for item in mail if (number := item.flows[0].identity) > 0}
        is_exact = self.index.is_all(filter, numbers)
        for reporter, messages in self.reporters.most_common(limit):
            records = RecordLink(replace(filter, reporter=reporter), is_exact)
            yield Linked(ReporterMessages(reporter, messages), records)

    def _common(self, mail: Iterable[Mail]) -> RecordFilter:
        return common_filter(self.domain, (item.identity for item in mail))
