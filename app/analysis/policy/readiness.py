"""Readiness for a stricter DMARC policy: the verdict, the blockers, and the record to publish.

A stricter policy stops mail that fails. Spoofed mail should be stopped, but the domain's own mail
must not be. A step is therefore ready if the domain's own and unclassified sources fail with almost
no legitimate mail, if the current policy was published for long enough, if there are enough reports
to decide that, and, for reject, if almost no legitimate mail fails at forwarders and mailing lists.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.sources import Source
from app.analysis.policy import blockers, proposals, verdicts
from app.analysis.policy.blockers import MIN_STREAM, Blocker, FailingSource
from app.analysis.policy.proposals import Tag
from app.analysis.policy.published import Published, effective
from app.analysis.policy.verdicts import Evidence, Impact, Verdict
from app.protocols.dmarc import Policy, Record

_NEXT = {Policy.NONE: Policy.QUARANTINE, Policy.QUARANTINE: Policy.REJECT}


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """The next stricter policy for one tag.

    highest   the strictest policy that the record raises a policy to, if it also ends testing
    scope     the filter of the affected mail
    messages  all mail that the policy applies to, whether or not it fails
    reason    the reason for the verdict, as text
    summary   the same in a few words
    legitimate_failing_sources  other sources of legitimate mail that fails: forwarders, and
                                sources below the limits
    legitimate_failing_share    their failed messages as a share of them and of the mail that passes
    unclassified_sources        other sources that are not classified, also those that are ignored
    spoofing_sources            sources of spoofed mail; all are ordered by messages, most first
    record    the record to publish; None if no record is known, or no change of it is safe
    remarks   the published tags that the record leaves out, and why
    rollback  the record that is published now; None if no record is known
    """

    tag: Tag
    current: Policy
    proposed: Policy
    highest: Policy
    scope: RecordFilter
    messages: int
    verdict: Verdict
    reason: str
    summary: str
    blockers: tuple[Blocker, ...]
    legitimate_failing_sources: tuple[FailingSource, ...]
    legitimate_failing_share: float
    unclassified_sources: tuple[FailingSource, ...]
    spoofing_sources: tuple[FailingSource, ...]
    record: str | None
    remarks: tuple[str, ...]
    rollback: str | None

    @property
    def is_ready(self) -> bool | None:
        """Whether the step is advised; None: there is not enough data."""
        if self.verdict is Verdict.NOT_ENOUGH_DATA:
            return None
        if self.verdict is Verdict.READY_FOR_QUARANTINE:
            return self.highest is Policy.QUARANTINE
        return self.verdict is Verdict.READY

    @property
    def legitimate_failing(self) -> int:
        """The number of legitimate messages that the step would affect."""
        return blockers.total(self.legitimate_failing_sources)

    @property
    def spoofed(self) -> int:
        """The number of spoofed messages that the step would stop."""
        return blockers.total(self.spoofing_sources)

    @property
    def headline(self) -> str:
        """The verdict as a sentence, without a period."""
        return f"{'Ready' if self.is_ready else 'Not ready'} for {self.name}: {self.summary}"

    @property
    def name(self) -> str:
        """The tag with the proposed policy, such as ``p=quarantine``."""
        return f"{self.tag}={self.proposed}"

    @property
    def own_sources(self) -> list[FailingSource]:
        """The sources of legitimate mail that would fail, with blockers; most messages first."""
        return _by_size(
            [
                *(blocker.failing for blocker in self.blockers if blocker.is_own),
                *self.legitimate_failing_sources,
            ]
        )

    @property
    def sources_to_review(self) -> list[FailingSource]:
        """The sources that a user has to classify, with blockers; most messages first."""
        blocking = [blocker.failing for blocker in self.blockers if not blocker.is_own]
        return _by_size([*blocking, *_undecided(self.unclassified_sources)])

    @property
    def ignored(self) -> int:
        """The number of affected messages of sources that are not classified and are ignored."""
        failing = blockers.total(self.unclassified_sources)
        return failing - blockers.total(_undecided(self.unclassified_sources))


def evidence(
    sources: Iterable[Source],
    *,
    window_days: int,
    days: int,
    reporters: int,
    days_at_policy: int | None,
) -> Evidence:
    """Return the evidence in these sources, without gaps."""
    listed = list(sources)
    return Evidence(
        window_days=window_days,
        days=days,
        messages=sum(map(_good, listed)),
        passed=sum(source.passed for source in listed),
        reporters=reporters,
        days_at_policy=days_at_policy,
    )


def steps(
    domain: str,
    sources: Sequence[Source],
    identities: dict[int, Identity],
    evidence: Evidence,
    published: Published | None,
) -> tuple[PolicyStep, ...]:
    """Return the next step of each of p, sp and np that applies to mail and is not at reject."""
    record = published.record if published else Record()
    p = effective(record.p, record) or Policy.NONE
    sp = effective(record.sp, record) or p
    current: dict[Tag, Policy] = {"p": p, "sp": sp, "np": effective(record.np, record) or sp}
    next_steps = []
    if published and not published.is_organizational:
        current = {"p": p}
    for tag, policy in current.items():
        if next_policy := _NEXT.get(policy):
            scope = _scope(tag, record, domain)
            change = _PolicyChange(
                tag=tag,
                current=policy,
                proposed=next_policy,
                highest=_highest(next_policy, record),
                scope=scope,
                domain=domain,
            )
            parts = [_part(source, identities, domain, scope) for source in sources]
            next_steps.append(_step(change, parts, evidence, published))
    return tuple(next_steps)


@dataclass(frozen=True, slots=True)
class _PolicyChange:
    """A change of one tag, and the mail that it affects."""

    tag: Tag
    current: Policy
    proposed: Policy
    highest: Policy
    scope: RecordFilter
    domain: str

    @property
    def authors(self) -> str:
        """The domains whose mail it affects, as text."""
        if self.scope.header_from:
            return self.domain
        below = f"subdomains of {self.domain}"
        return below if self.scope.subdomains_only else f"{self.domain} or {below}"


@dataclass(frozen=True, slots=True)
class _Part:
    """The mail of a source in the scope of a step.

    dkim          messages with DKIM aligned
    unidentified  failed messages that are too rare to know who sent them
    """

    failing: FailingSource
    messages: int
    dkim: int
    unidentified: int

    @property
    def kind(self) -> SourceClass:
        """The classification of its source."""
        return blockers.classification(self.failing.source)


def _highest(proposed: Policy, record: Record) -> Policy:
    """The strictest policy that takes effect: a step that ends testing raises them all."""
    written = (record.p, record.sp, record.np) if record.testing else ()
    return max((proposed, *filter(None, written)), key=lambda policy: policy.strength)


def _scope(tag: Tag, record: Record, domain: str) -> RecordFilter:
    """The failed mail that the step affects: from the domain itself, from below it, or both."""
    own, below = tag == "p", tag != "p" or record.sp is None
    if record.testing:  # the step removes t=y, so that the whole record takes effect
        own |= record.p not in (None, Policy.NONE)
        below |= not {record.sp or record.p, record.np} <= {None, Policy.NONE}
    return RecordFilter(
        result="fail", header_from=None if below else domain, subdomains_only=not own
    )


def _part(
    source: Source, identities: dict[int, Identity], domain: str, scope: RecordFilter
) -> _Part:
    """The messages of the source that the policy applies to."""
    sent, failed, dkim, unidentified = Counter[str](), Counter[str](), 0, 0
    for number, messages in source.identities.items():
        identity = identities[number]
        is_own = identity.header_from == domain
        if not ((scope.subdomains_only and is_own) or (scope.header_from and not is_own)):
            sent[identity.header_from] += messages
            failed[identity.header_from] += 0 if identity.passed else messages
            dkim += messages if identity.dkim else 0
            unidentified += messages if number < 0 and not identity.passed else 0
    is_stream = any(n >= MIN_STREAM and 2 * n >= sent[name] for name, n in failed.items())
    failing = FailingSource(source, failed.total(), is_stream)
    return _Part(failing=failing, messages=sent.total(), dkim=dkim, unidentified=unidentified)


def _step(
    change: _PolicyChange, parts: Sequence[_Part], evidence: Evidence, published: Published | None
) -> PolicyStep:
    failing = [part.failing for part in parts if part.failing.messages]
    failing.sort(key=lambda failing_source: -failing_source.messages)
    affected = _Affected(failing, blockers.find(failing, evidence))
    decision = verdicts.decide(_impact(change, parts, affected), evidence, published)
    proposal = proposals.proposal(change.tag, change.proposed, published) if published else None
    legitimate = affected.of(SourceClass.OWN, SourceClass.FORWARDER)
    return PolicyStep(
        tag=change.tag,
        current=change.current,
        proposed=change.proposed,
        highest=change.highest,
        scope=change.scope,
        messages=sum(part.messages for part in parts),
        verdict=decision.verdict,
        reason=decision.reason,
        summary=decision.summary,
        blockers=tuple(affected.blockers),
        legitimate_failing_sources=legitimate,
        legitimate_failing_share=evidence.share(blockers.total(legitimate)),
        unclassified_sources=affected.of(SourceClass.UNKNOWN),
        spoofing_sources=affected.of(SourceClass.SUSPICIOUS),
        record=proposal.text if proposal else None,
        remarks=proposal.remarks if proposal else (),
        rollback=published.own_text if published else None,
    )


@dataclass(frozen=True, slots=True)
class _Affected:
    """The sources that a step affects, the most messages first."""

    failing: Sequence[FailingSource]
    blockers: Sequence[Blocker]

    def of(self, *kinds: SourceClass) -> tuple[FailingSource, ...]:
        """Return those with these classifications that do not block."""
        blocking = {blocker.source.key for blocker in self.blockers}
        return tuple(
            row
            for row in self.failing
            if blockers.classification(row.source) in kinds and row.source.key not in blocking
        )


def _impact(change: _PolicyChange, parts: Sequence[_Part], affected: _Affected) -> Impact:
    own = [part for part in parts if part.messages and part.kind is SourceClass.OWN]
    seen = [
        part
        for part in parts
        # A domain itself needs mail that is not spoofed. Names below it often have no other.
        if change.tag != "p" or part.kind is not SourceClass.SUSPICIOUS
    ]
    return Impact(
        step=f"{change.tag}={change.proposed}",
        own_blockers=sum(blocker.is_own for blocker in affected.blockers),
        highest=change.highest,
        authors=change.authors,
        messages=sum(part.messages for part in seen),
        blockers=[blocker.source.service.name for blocker in affected.blockers],
        lost=blockers.total(affected.of(SourceClass.OWN, SourceClass.FORWARDER)),
        lost_at_forwarders=blockers.total(affected.of(SourceClass.FORWARDER)),
        to_review=blockers.total(_undecided(affected.of(SourceClass.UNKNOWN))),
        unidentified=sum(part.unidentified for part in parts),
        has_dkim=not own or any(part.dkim for part in own),
    )


def _by_size(sources: Iterable[FailingSource]) -> list[FailingSource]:
    return sorted(sources, key=lambda row: (-row.messages, row.source.key))


def _undecided(sources: Iterable[FailingSource]) -> list[FailingSource]:
    return [row for row in sources if not blockers.is_ignored(row.source)]


def _good(source: Source) -> int:
    return source.messages if blockers.is_good(source) else source.passed
