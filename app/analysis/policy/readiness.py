"""May a domain's DMARC policy be raised: what stands in the way, and what to publish. Pure.

Raising it costs the mail that fails. What is forged should be lost; what is the domain's own must
not be. So a step is ready when the domain's own sources, and those that nobody has decided on, fail
with next to nothing of the good mail, and when there are enough reports to say so.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.identities import Identity
from app.analysis.mail.record_query import RecordQuery
from app.analysis.mail.sources import Source
from app.protocols import tags
from app.protocols.dmarc import Policy, Record

MIN_DAYS = 14  # with reports
MIN_MESSAGES = 100
MAX_FAILING_SHARE = (
    0.005  # of the good mail that one source may fail with, and still not stand in the way
)
MAX_UNDECIDED = 0.01
MIN_FAILING_MESSAGES = 5  # messages
MIN_STREAM = 20  # that a source fails with under one name: if they are most, it is no accident

Tag = Literal["p", "sp", "np"]
_NEXT = {Policy.NONE: Policy.QUARANTINE, Policy.QUARANTINE: Policy.REJECT}


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the answer rests on.

    days       of the window with reports
    messages   good ones: of the domain's own sources and of forwarders
    """

    window_days: int
    days: int
    messages: int
    reporters: int

    @property
    def is_sufficient(self) -> bool:
        """There is enough to answer at all."""
        return self.days >= MIN_DAYS and self.messages >= MIN_MESSAGES


@dataclass(frozen=True, slots=True)
class Blocker:
    """A source that would lose good mail.

    messages  that fail; share: of the good mail
    """

    source: Source
    messages: int
    share: float
    reason: str
    remediation: str


@dataclass(frozen=True, slots=True)
class FailingSource:
    """A source, and its messages that a policy would meet.

    is_stream  they are half or more of what it sends under one name, and not just a few
    """

    source: Source
    messages: int
    is_stream: bool


@dataclass(frozen=True, slots=True)
class PolicyStep:
    """One tag, one step further.

    meets      which mail
    is_ready   None: the reports are too few to tell
    losing     of good mail that would be lost: forwarders, and sources below the limits
    forging    of what is forged; of all three those with the most messages come first
    record     to publish; rollback: what is published now; None if no record is known
    """

    tag: Tag
    current: Policy
    proposed: Policy
    scope: RecordQuery
    is_ready: bool | None
    blockers: tuple[Blocker, ...]
    legitimate_failing_sources: tuple[FailingSource, ...]
    spoofing_sources: tuple[FailingSource, ...]
    record: str | None
    rollback: str | None

    @property
    def legitimate_failing(self) -> int:
        """Good messages that it would meet all the same."""
        return sum(one.messages for one in self.legitimate_failing_sources)

    @property
    def spoofed(self) -> int:
        """Messages that it is there for."""
        return sum(one.messages for one in self.spoofing_sources)


@dataclass(frozen=True, slots=True)
class Published:
    """The DMARC record that holds for the domain, as the last scan knows it.

    name               where the domain's own stands, or is to stand
    text               None: there is none
    record             what it says of the domain: of one that is inherited, ``p`` is its sp or np
    is_inherited       it stands at a domain above, and holds for mail that is not looked at here
    is_organizational  the domain's own holds for names below, too (RFC 9989 §4.10.1)
    """

    name: str
    text: str | None
    record: Record
    is_inherited: bool = False
    is_organizational: bool = True

    @property
    def own_text(self) -> str | None:
        """The record at ``name``; None: there is none."""
        return None if self.is_inherited else self.text


def inherited(name: str, text: str, record: Record, tag: str | None) -> Published:
    """The record of a domain above, by which the domain is judged (RFC 9989 §4.10.1).

    tag  of the record, that holds for the domain: ``sp``, or ``np`` if the domain does not exist
    """
    below = record.sp or record.p
    p = (record.np or below) if tag == "np" else below
    return Published(name, text, replace(record, p=p, sp=None, np=None), True, False)


def is_covered(policy: Policy | None, record: Record) -> Policy | None:
    """What a policy of the record comes to: with ``t=y`` it is one step less (RFC 9989 §4.7)."""
    return policy.lowered if policy and record.testing else policy


def evidence(sources: Iterable[Source], *, window_days: int, days: int, reporters: int) -> Evidence:
    """How much there is to rest on."""
    return Evidence(window_days, days, sum(map(_good, sources)), reporters)


def steps(
    domain: str, sources: Sequence[Source], identities: dict[int, Identity],
    found: Evidence, published: Published | None,
) -> tuple[PolicyStep, ...]:  # fmt: skip
    """The next step of p, sp and np, of those that hold for anybody and are not at reject yet."""
    record = published.record if published else Record()
    p = is_covered(record.p, record) or Policy.NONE
    sp = is_covered(record.sp, record) or p
    current: dict[Tag, Policy] = {"p": p, "sp": sp, "np": is_covered(record.np, record) or sp}
    made = []
    if published and not published.is_organizational:
        current = {"p": p}
    for tag, policy in current.items():
        if wanted := _NEXT.get(policy):
            meets = _meets(tag, record, domain)
            found_failing = (_failing(source, identities, domain, meets) for source in sources)
            failing = [one for one in found_failing if one.messages]
            failing.sort(key=lambda one: -one.messages)
            made.append(_step(tag, (policy, wanted, meets), failing, found, published))
    return tuple(made)


def _meets(tag: Tag, record: Record, domain: str) -> RecordQuery:
    """Failed mail from the domain itself, from below it, or from both: what the step is about."""
    own, below = tag == "p", tag != "p" or record.sp is None
    if record.testing:  # the step ends that, so that all the record says comes to hold
        own |= record.p not in (None, Policy.NONE)
        below |= not {record.sp or record.p, record.np} <= {None, Policy.NONE}
    return RecordQuery("fail", header_from=None if below else domain, subdomains_only=not own)


def _failing(
    source: Source, identities: dict[int, Identity], domain: str, meets: RecordQuery
) -> FailingSource:
    """What the policy would meet of the source."""
    sent, failed = Counter[str](), Counter[str]()
    for number, messages in source.identities.items():
        identity = identities[number]
        is_own = identity.header_from == domain
        if not ((meets.subdomains_only and is_own) or (meets.header_from and not is_own)):
            sent[identity.header_from] += messages
            failed[identity.header_from] += 0 if identity.passed else messages
    is_stream = any(n >= MIN_STREAM and 2 * n >= sent[name] for name, n in failed.items())
    return FailingSource(source, failed.total(), is_stream)


def _step(
    tag: Tag, move: tuple[Policy, Policy, RecordQuery], failing: Sequence[FailingSource],
    found: Evidence, published: Published | None,
) -> PolicyStep:  # fmt: skip
    blockers = tuple(
        blocker
        for one in failing
        if one.messages >= MIN_FAILING_MESSAGES and (blocker := _blocker(one, found.messages))
    )
    blocking = {blocker.source.key for blocker in blockers}
    losing = (one for one in failing if _is_good(one.source) and one.source.key not in blocking)
    forging = (one for one in failing if one.source.kind is SourceClass.SUSPICIOUS)
    is_ready = not blockers if found.is_sufficient and published else None
    text = published.own_text if published else None
    return PolicyStep(
        tag, *move, is_ready, blockers, tuple(losing), tuple(forging),
        _rewritten(tag, move[1], published) if published else None, text,
    )  # fmt: skip


def _rewritten(tag: Tag, wanted: Policy, published: Published) -> str:
    text = published.text
    if text is None:
        return f"v=DMARC1; p={wanted}" if tag == "p" else f"v=DMARC1; p=none; {tag}={wanted}"
    if published.is_inherited:  # as it is there, but for what is about others
        for name in ("sp", "np", "psd"):
            text = tags.replaced(text, name, None)
    if published.record.testing:
        text = tags.replaced(text, "t", None)
    return tags.replaced(text, tag, wanted.value)


def _good(source: Source) -> int:
    return source.messages if _is_good(source) else source.passed


def _is_good(source: Source) -> bool:
    return source.kind in (SourceClass.OWN, SourceClass.FORWARDER)


def _blocker(failing: FailingSource, good: int) -> Blocker | None:
    """The source as one that stands in the way, if it does."""
    source, failed = failing.source, failing.messages
    share = failed / max(good, failed)
    if source.review and source.review.decision == "ignored":
        return None
    name = source.service.name
    if source.kind is SourceClass.OWN and (share >= MAX_FAILING_SHARE or failing.is_stream):
        why = f"{name} is the domain's own, and {failed} of its messages fail: {source.reason}"
        return Blocker(source, failed, share, why, _advice(source))
    if source.kind is SourceClass.UNKNOWN and share >= MAX_UNDECIDED:
        why = f"nobody has said whether {name} may send as the domain: {source.reason}"
        advice = f"Approve it and set it up, or block it or ignore it. {_advice(source)}"
        return Blocker(source, failed, share, why, advice)
    return None


def _advice(source: Source) -> str:
    sender = source.service.sender
    if sender:
        return (
            f"Set the domain up with {sender.name}, so that it signs as the domain: {sender.setup}"
        )
    return (
        "Have it sign with a DKIM key of the domain, or send with the domain as envelope sender "
        "from an address in the domain's SPF record."
    )
