"""Readiness for a stricter DMARC policy: the blockers, and the record to publish.

A stricter policy stops mail that fails. Spoofed mail should be stopped, but the domain's own mail
must not be. A step is therefore ready if the domain's own and unclassified sources fail with almost
no legitimate mail, and if there are enough reports to judge that.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.record_filter import RecordFilter
from app.analysis.mail.sources import Source
from app.protocols import tags
from app.protocols.dmarc import Policy, Record

MIN_DAYS = 14  # with reports
MIN_MESSAGES = 100
MAX_FAILING_SHARE = (
    0.005  # share of the legitimate mail with which one source may fail without being a blocker
)
MAX_UNDECIDED = 0.01
MIN_FAILING_MESSAGES = 5  # messages
MIN_STREAM = 20  # failed messages under one name that block if they are the majority

Tag = Literal["p", "sp", "np"]
_NEXT = {Policy.NONE: Policy.QUARANTINE, Policy.QUARANTINE: Policy.REJECT}


@dataclass(frozen=True, slots=True)
class Evidence:
    """The amount of evidence for the answer.

    days       days of the window with reports
    messages   legitimate messages: from the domain's own sources and from forwarders
    """

    window_days: int
    days: int
    messages: int
    reporters: int

    @property
    def is_sufficient(self) -> bool:
        """Whether the evidence is sufficient for an answer."""
        return self.days >= MIN_DAYS and self.messages >= MIN_MESSAGES


@dataclass(frozen=True, slots=True)
class Blocker:
    """A source whose legitimate mail the stricter policy would stop.

    messages  number of failed messages
    share     their share of the legitimate mail
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

    scope      the filter of the affected mail
    is_ready   None: the evidence is insufficient
    legitimate_failing_sources  other sources of legitimate mail that fails: forwarders, and
                                sources below the limits
    spoofing_sources            sources of spoofed mail; all are ordered by messages, most first
    record     the record to publish; None if no record is known
    rollback   the record that is published now; None if no record is known
    """

    tag: Tag
    current: Policy
    proposed: Policy
    scope: RecordFilter
    is_ready: bool | None
    blockers: tuple[Blocker, ...]
    legitimate_failing_sources: tuple[FailingSource, ...]
    spoofing_sources: tuple[FailingSource, ...]
    record: str | None
    rollback: str | None

    @property
    def legitimate_failing(self) -> int:
        """The number of legitimate messages that the step would affect."""
        return sum(failing.messages for failing in self.legitimate_failing_sources)

    @property
    def spoofed(self) -> int:
        """The number of spoofed messages that the step would stop."""
        return sum(failing.messages for failing in self.spoofing_sources)


@dataclass(frozen=True, slots=True)
class Published:
    """The DMARC record that applies to the domain, from the last scan.

    name               the name of the domain's own record, whether or not it exists
    text               None: there is no record
    record             the policy for the domain: ``p`` of an inherited record is its sp or np
    is_inherited       it is published at a parent domain and also applies to other mail
    is_organizational  the domain's own record also applies to names below (RFC 9989 §4.10.1)
    """

    name: str
    text: str | None
    record: Record
    is_inherited: bool = False
    is_organizational: bool = True

    @property
    def own_text(self) -> str | None:
        """The record at ``name``; None if there is none."""
        return None if self.is_inherited else self.text


def inherited(name: str, text: str, record: Record, tag: str | None) -> Published:
    """Return the record of a parent domain that applies to the domain (RFC 9989 §4.10.1).

    tag  the tag that applies to the domain: ``sp``, or ``np`` if the domain does not exist
    """
    below = record.sp or record.p
    p = (record.np or below) if tag == "np" else below
    return Published(
        name=name,
        text=text,
        record=replace(record, p=p, sp=None, np=None),
        is_inherited=True,
        is_organizational=False,
    )


def is_covered(policy: Policy | None, record: Record) -> Policy | None:
    """Return the effective policy: with ``t=y`` it is one step weaker (RFC 9989 §4.7)."""
    return policy.lowered if policy and record.testing else policy


def evidence(sources: Iterable[Source], *, window_days: int, days: int, reporters: int) -> Evidence:
    """Return the evidence in these sources."""
    return Evidence(
        window_days=window_days,
        days=days,
        messages=sum(map(_good, sources)),
        reporters=reporters,
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
    p = is_covered(record.p, record) or Policy.NONE
    sp = is_covered(record.sp, record) or p
    current: dict[Tag, Policy] = {"p": p, "sp": sp, "np": is_covered(record.np, record) or sp}
    next_steps = []
    if published and not published.is_organizational:
        current = {"p": p}
    for tag, policy in current.items():
        if next_policy := _NEXT.get(policy):
            scope = _scope(tag, record, domain)
            failing_sources = (_failing(source, identities, domain, scope) for source in sources)
            failing = [
                failing_source for failing_source in failing_sources if failing_source.messages
            ]
            failing.sort(key=lambda failing_source: -failing_source.messages)
            next_steps.append(
                _step(tag, (policy, next_policy, scope), failing, evidence, published)
            )
    return tuple(next_steps)


def _scope(tag: Tag, record: Record, domain: str) -> RecordFilter:
    """The failed mail that the step affects: from the domain itself, from below it, or both."""
    own, below = tag == "p", tag != "p" or record.sp is None
    if record.testing:  # the step removes t=y, so that the whole record takes effect
        own |= record.p not in (None, Policy.NONE)
        below |= not {record.sp or record.p, record.np} <= {None, Policy.NONE}
    return RecordFilter(
        result="fail", header_from=None if below else domain, subdomains_only=not own
    )


def _failing(
    source: Source, identities: dict[int, Identity], domain: str, scope: RecordFilter
) -> FailingSource:
    """The messages of the source that the policy would affect."""
    sent, failed = Counter[str](), Counter[str]()
    for number, messages in source.identities.items():
        identity = identities[number]
        is_own = identity.header_from == domain
        if not ((scope.subdomains_only and is_own) or (scope.header_from and not is_own)):
            sent[identity.header_from] += messages
            failed[identity.header_from] += 0 if identity.passed else messages
    is_stream = any(n >= MIN_STREAM and 2 * n >= sent[name] for name, n in failed.items())
    return FailingSource(source, failed.total(), is_stream)


def _step(
    tag: Tag,
    move: tuple[Policy, Policy, RecordFilter],
    failing: Sequence[FailingSource],
    evidence: Evidence,
    published: Published | None,
) -> PolicyStep:
    blockers = tuple(
        blocker
        for failing_source in failing
        if failing_source.messages >= MIN_FAILING_MESSAGES
        and (blocker := _blocker(failing_source, evidence.messages))
    )
    blocking = {blocker.source.key for blocker in blockers}
    legitimate = (
        failing_source
        for failing_source in failing
        if _is_good(failing_source.source) and failing_source.source.key not in blocking
    )
    spoofing = (
        failing_source
        for failing_source in failing
        if failing_source.source.kind is SourceClass.SUSPICIOUS
    )
    is_ready = not blockers if evidence.is_sufficient and published else None
    current, next_policy, scope = move
    return PolicyStep(
        tag=tag,
        current=current,
        proposed=next_policy,
        scope=scope,
        is_ready=is_ready,
        blockers=blockers,
        legitimate_failing_sources=tuple(legitimate),
        spoofing_sources=tuple(spoofing),
        record=_rewritten(tag, next_policy, published) if published else None,
        rollback=published.own_text if published else None,
    )


def _rewritten(tag: Tag, policy: Policy, published: Published) -> str:
    text = published.text
    if text is None:
        return f"v=DMARC1; p={policy}" if tag == "p" else f"v=DMARC1; p=none; {tag}={policy}"
    if published.is_inherited:  # the parent's record without the tags about other domains
        for name in ("sp", "np", "psd"):
            text = tags.replaced(text, name, None)
    if published.record.testing:
        text = tags.replaced(text, "t", None)
    return tags.replaced(text, tag, policy.value)


def _good(source: Source) -> int:
    return source.messages if _is_good(source) else source.passed


def _is_good(source: Source) -> bool:
    return source.kind in (SourceClass.OWN, SourceClass.FORWARDER)


def _blocker(failing: FailingSource, good: int) -> Blocker | None:
    """The source as a blocker; None if it does not block the step."""
    source, failed = failing.source, failing.messages
    share = failed / max(good, failed)
    if source.review and source.review.decision == "ignored":
        return None
    name = source.service.name
    if source.kind is SourceClass.OWN and (share >= MAX_FAILING_SHARE or failing.is_stream):
        reason = (
            f"{name} is one of your sources, and {failed:,} of its messages fail. {source.reason}."
        )
        return Blocker(
            source=source, messages=failed, share=share, reason=reason, remediation=_advice(source)
        )
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
