"""May a domain's DMARC policy be raised: what stands in the way, and what to publish. Pure.

Raising it costs the mail that fails. What is forged should be lost; what is the domain's own must
not be. So a step is ready when the domain's own sources, and those that nobody has decided on, fail
with next to nothing of the good mail, and when there are enough reports to say so.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from app.insight.forwarding import Kind
from app.insight.identities import Identity
from app.insight.sources import Source
from app.protocols import tags
from app.protocols.dmarc import Policy, Record

MIN_DAYS = 14  # with reports
MIN_MESSAGES = 100
MAX_LOST = 0.005  # of the good mail that one source may fail with, and still not stand in the way
MAX_UNDECIDED = 0.01
MIN_LOST = 5  # messages

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
    def is_enough(self) -> bool:
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
    why: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Step:
    """One tag, one step further.

    is_ready  None: the reports are too few to tell
    record    to publish; rollback: what is published now; None if no record is known
    lost      good mail that would be lost: of forwarders, and what is below the limits
    """

    tag: Tag
    current: Policy
    wanted: Policy
    is_ready: bool | None
    blockers: tuple[Blocker, ...]
    lost: int
    forged: int
    record: str | None
    rollback: str | None


@dataclass(frozen=True, slots=True)
class Published:
    """The domain's DMARC record as the last scan knows it.

    name  where it stands, or is to stand
    text  None: there is none
    """

    name: str
    text: str | None
    record: Record


def evidence(sources: Iterable[Source], *, window_days: int, days: int, reporters: int) -> Evidence:
    """How much there is to rest on."""
    return Evidence(window_days, days, sum(map(_good, sources)), reporters)


def steps(
    domain: str, sources: Sequence[Source], identities: dict[int, Identity],
    found: Evidence, published: Published | None,
) -> tuple[Step, ...]:  # fmt: skip
    """The next step of p, sp and np, of those that are not at reject yet."""
    record = published.record if published else Record()
    p = record.p or Policy.NONE
    sp = record.sp or p
    current: dict[Tag, Policy] = {"p": p, "sp": sp, "np": record.np or sp}
    made = []
    for tag, policy in current.items():
        if wanted := _NEXT.get(policy):
            concerns = _concerned(tag, record)
            affected = [
                (source, _failed(source, identities, domain, concerns)) for source in sources
            ]
            made.append(_step(tag, (policy, wanted), affected, found, published))
    return tuple(made)


def _concerned(tag: Tag, record: Record) -> tuple[bool, bool]:
    """Whether the tag is about the domain itself, and about what is below it."""
    return tag == "p", tag != "p" or record.sp is None


def _failed(
    source: Source, identities: dict[int, Identity], domain: str, concerns: tuple[bool, bool]
) -> int:
    """Messages of the source that the policy would meet."""
    own, below = concerns
    total = 0
    for number, messages in source.identities.items():
        identity = identities[number]
        is_own = identity.header_from == domain
        if not identity.passed and ((own and is_own) or (below and not is_own)):
            total += messages
    return total


def _step(
    tag: Tag, move: tuple[Policy, Policy], affected: Sequence[tuple[Source, int]],
    found: Evidence, published: Published | None,
) -> Step:  # fmt: skip
    blockers = [
        blocker
        for source, failed in affected
        if failed >= MIN_LOST and (blocker := _blocker(source, failed, found.messages))
    ]
    blocking = {blocker.source.key for blocker in blockers}
    lost = sum(n for source, n in affected if _is_good(source) and source.key not in blocking)
    forged = sum(n for source, n in affected if source.kind is Kind.SUSPICIOUS)
    is_ready = not blockers if found.is_enough and published else None
    text = published.text if published else None
    return Step(
        tag, *move, is_ready,
        tuple(sorted(blockers, key=lambda blocker: -blocker.messages)), lost, forged,
        _rewritten(tag, move[1], published) if published else None, text,
    )  # fmt: skip


def _rewritten(tag: Tag, wanted: Policy, published: Published) -> str:
    if published.text is None:
        return f"v=DMARC1; p={wanted}" if tag == "p" else f"v=DMARC1; p=none; {tag}={wanted}"
    return tags.replaced(published.text, tag, wanted.value)


def _good(source: Source) -> int:
    return source.messages if _is_good(source) else source.passed


def _is_good(source: Source) -> bool:
    return source.kind in (Kind.OWN, Kind.FORWARDER)


def _blocker(source: Source, failed: int, good: int) -> Blocker | None:
    """The source as one that stands in the way, if it does."""
    share = failed / max(good, failed)
    if source.state and source.state.state == "ignored":
        return None
    name = source.service.name
    if source.kind is Kind.OWN and share >= MAX_LOST:
        why = f"{name} is the domain's own, and {failed} of its messages fail: {source.reason}"
        return Blocker(source, failed, share, why, _advice(source))
    if source.kind is Kind.UNKNOWN and share >= MAX_UNDECIDED:
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
