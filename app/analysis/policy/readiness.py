"""Readiness for a stricter DMARC policy: the verdict, the blockers, and the record to publish.

A stricter policy stops mail that fails. Spoofed mail should be stopped, but the domain's own mail
must not be. A step is therefore ready if the domain's own and unclassified sources fail with almost
no legitimate mail, if the current policy was published for long enough, if there are enough reports
to decide that, and, for reject, if almost no legitimate mail fails at forwarders and mailing lists.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.sources import Source
from app.analysis.policy import proposals, verdicts
from app.analysis.policy.proposals import Tag
from app.analysis.policy.published import Published, effective
from app.analysis.policy.verdicts import Evidence, Impact, Verdict
from app.protocols.dmarc import Policy, Record

MAX_FAILING_SHARE = (
    0.005  # share of all mail of the domain with which one source may fail without being a blocker
)
MAX_UNDECIDED = 0.01
MIN_FAILING_MESSAGES = 5  # messages
MIN_STREAM = 20  # failed messages under one name that block if they are the majority

_NEXT = {Policy.NONE: Policy.QUARANTINE, Policy.QUARANTINE: Policy.REJECT}


@dataclass(frozen=True, slots=True)
class Blocker:
    """A source whose legitimate mail the stricter policy would stop.

    messages  number of failed messages
    share     their share of all mail of the domain, which includes them
    """

    source: Source
    messages: int
    share: float
    reason: str
    remediation: str


@dataclass(frozen=True, slots=True)
class FailingSource:
    """A source with the messages that a stricter policy would affect.

    is_stream  whether they are at least half of its mail under one name, and not just a few
    """

    source: Source
    messages: int
    is_stream: bool


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """The next stricter policy for one tag.

    highest   the strictest policy that the record raises a policy to, if it also ends testing
    scope     the filter of the affected mail
    messages  all mail that the policy applies to, whether or not it fails
    reason    the reason for the verdict, as text
    legitimate_failing_sources  other sources of legitimate mail that fails: forwarders, and
                                sources below the limits
    legitimate_failing_share    their failed messages as a share of all mail of the domain
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
    blockers: tuple[Blocker, ...]
    legitimate_failing_sources: tuple[FailingSource, ...]
    legitimate_failing_share: float
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
        return sum(failing.messages for failing in self.legitimate_failing_sources)

    @property
    def spoofed(self) -> int:
        """The number of spoofed messages that the step would stop."""
        return sum(failing.messages for failing in self.spoofing_sources)


def evidence(
    sources: Iterable[Source],
    *,
    window_days: int,
    days: int,
    reporters: int,
    days_at_policy: int | None,
) -> Evidence:
    """Return the evidence in these sources."""
    return Evidence(
        window_days=window_days,
        days=days,
        messages=sum(map(_good, sources)),
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
    """The mail of a source in the scope of a step; ``dkim``: messages with DKIM aligned."""

    failing: FailingSource
    messages: int
    dkim: int


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
    sent, failed, dkim = Counter[str](), Counter[str](), 0
    for number, messages in source.identities.items():
        identity = identities[number]
        is_own = identity.header_from == domain
        if not ((scope.subdomains_only and is_own) or (scope.header_from and not is_own)):
            sent[identity.header_from] += messages
            failed[identity.header_from] += 0 if identity.passed else messages
            dkim += messages if identity.dkim else 0
    is_stream = any(n >= MIN_STREAM and 2 * n >= sent[name] for name, n in failed.items())
    return _Part(FailingSource(source, failed.total(), is_stream), sent.total(), dkim)


def _step(
    change: _PolicyChange, parts: Sequence[_Part], evidence: Evidence, published: Published | None
) -> PolicyStep:
    failing = [part.failing for part in parts if part.failing.messages]
    failing.sort(key=lambda failing_source: -failing_source.messages)
    blockers = tuple(_blockers(failing, evidence.messages))
    blocking = {blocker.source.key for blocker in blockers}
    legitimate = tuple(
        failing_source
        for failing_source in failing
        if _is_good(failing_source.source) and failing_source.source.key not in blocking
    )
    impact = _impact(change, parts, blockers, legitimate)
    verdict, reason = verdicts.decide(impact, evidence, published)
    proposal = proposals.proposal(change.tag, change.proposed, published) if published else None
    return PolicyStep(
        tag=change.tag,
        current=change.current,
        proposed=change.proposed,
        highest=change.highest,
        scope=change.scope,
        messages=impact.messages,
        verdict=verdict,
        reason=reason,
        blockers=blockers,
        legitimate_failing_sources=legitimate,
        legitimate_failing_share=evidence.share(impact.lost),
        spoofing_sources=tuple(
            failing_source
            for failing_source in failing
            if failing_source.source.kind is SourceClass.SUSPICIOUS
        ),
        record=proposal.text if proposal else None,
        remarks=proposal.remarks if proposal else (),
        rollback=published.own_text if published else None,
    )


def _impact(
    change: _PolicyChange,
    parts: Sequence[_Part],
    blockers: Iterable[Blocker],
    legitimate: Sequence[FailingSource],
) -> Impact:
    own = [part for part in parts if part.messages and part.failing.source.kind is SourceClass.OWN]
    return Impact(
        step=f"{change.tag}={change.proposed}",
        highest=change.highest,
        authors=change.authors,
        messages=sum(part.messages for part in parts),
        blockers=[blocker.source.service.name for blocker in blockers],
        lost=sum(failing.messages for failing in legitimate),
        lost_at_forwarders=sum(
            failing.messages
            for failing in legitimate
            if failing.source.kind is SourceClass.FORWARDER
        ),
        has_dkim=not own or any(part.dkim for part in own),
    )


def _good(source: Source) -> int:
    return source.messages if _is_good(source) else source.passed


def _is_good(source: Source) -> bool:
    return source.kind in (SourceClass.OWN, SourceClass.FORWARDER)


def _blockers(failing: Iterable[FailingSource], good: int) -> Iterator[Blocker]:
    for failing_source in failing:
        blocker = _blocker(failing_source, good)
        if blocker and blocker.messages >= MIN_FAILING_MESSAGES:
            yield blocker


def _blocker(failing: FailingSource, good: int) -> Blocker | None:
    """The source as a blocker; None if it does not block the step."""
    source, failed = failing.source, failing.messages
    if source.review and source.review.decision == "ignored":
        return None
    name = source.service.name
    if source.kind is SourceClass.OWN:
        share = failed / good
        if share < MAX_FAILING_SHARE and not failing.is_stream:
            return None
        reason = (
            f"{name} is one of your sources, and {failed:,} of its messages fail. {source.reason}."
        )
        return Blocker(
            source=source, messages=failed, share=share, reason=reason, remediation=_advice(source)
        )
    share = failed / (good + failed)  # as if it was the domain's mail
    if source.kind is SourceClass.UNKNOWN and share >= MAX_UNDECIDED:
        reason = (
            f"{name} sent {failed:,} unauthenticated messages and is not classified. "
            f"{source.reason}."
        )
        advice = f"If it is yours, approve it; if not, block or ignore it. {_advice(source)}"
        return Blocker(
            source=source, messages=failed, share=share, reason=reason, remediation=advice
        )
    return None


def _advice(source: Source) -> str:
    sender = source.service.sender
    if sender:
        return f"Set up DKIM for your domain at {sender.name}: {sender.setup}"
    return (
        "Set up DKIM signing with a key of your domain, or use your domain as envelope sender and "
        "add the address to your SPF record."
    )
