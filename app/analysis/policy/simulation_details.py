"""The affected email of a simulation by sender, author and reporter, with the records behind it."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from app.analysis.mail.flow_index import FlowIndex, RecordLink, common_filter
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.source_details import HeaderFromCount, Linked
from app.analysis.mail.sources import Source
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
class AffectedEmail:
    """The email that a simulated policy affects; each sequence has the most messages first."""

    records: RecordLink
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
        filter = self._common(mail)
        return AffectedEmail(
            records=self.index.part(self.replay.affected, filter),
            sources=list(self._by_source(limit)),
            header_from=list(self._by_author(mail, limit)),
            reporters=list(self._by_reporter(mail, filter, limit)),
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
