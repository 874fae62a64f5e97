"""The sources that block a stricter policy, because mail that may be legitimate would be stopped.

A source can send mail of different classifications. It counts as spoofed here only if nothing that
it sends is the domain's own or unclassified, so that mail does not become harmless by growing: once
a server that sends as the domain fails with most of its mail, that mail still blocks.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.sources import Source
from app.analysis.policy.verdicts import Evidence

MAX_FAILING_SHARE = 0.005  # of it and the passing mail: what one of the domain's own sources may
# fail with without being a blocker
MAX_UNDECIDED = 0.01  # the same for a source that is not classified, and for all together
MIN_FAILING_MESSAGES = 5  # messages
MIN_STREAM = 20  # failed messages under one name that block if they are the majority

_PRECEDENCE = (SourceClass.OWN, SourceClass.UNKNOWN, SourceClass.FORWARDER, SourceClass.SUSPICIOUS)


@dataclass(frozen=True, slots=True)
class FailingSource:
    """A source with the messages that a stricter policy would affect.

    is_stream  whether they are at least half of its mail under one name, and not just a few
    """

    source: Source
    messages: int
    is_stream: bool


@dataclass(frozen=True, slots=True)
class Blocker:
    """A source whose legitimate mail the stricter policy would stop.

    failing   the source with its failed messages
    share     them as a share of these messages and the mail of the domain that passes
    advice    the end of ``remediation``: how to set up authentication
    is_own    whether it is known to send mail of the domain; else it is not classified
    """

    failing: FailingSource
    share: float
    is_own: bool
    reason: str
    remediation: str
    advice: str

    @property
    def source(self) -> Source:
        """The source."""
        return self.failing.source

    @property
    def messages(self) -> int:
        """The number of failed messages."""
        return self.failing.messages


def classification(source: Source) -> SourceClass:
    """The classification that decides about the failing mail of the source.

    It is the one of a user, or else the first of own, unknown and suspicious that any of its mail
    has.
    """
    if source.review and source.review.decision in ("approved", "blocked"):
        return source.kind
    kinds = {reason.kind for reason, messages in source.reasons.items() if messages}
    return next((kind for kind in _PRECEDENCE if kind in kinds), source.kind)


def is_ignored(source: Source) -> bool:
    """Whether a user decided that the source does not matter."""
    return source.review is not None and source.review.decision == "ignored"


def is_good(source: Source) -> bool:
    """Whether all mail of the source is legitimate."""
    return classification(source) in (SourceClass.OWN, SourceClass.FORWARDER)


def find(failing: Sequence[FailingSource], evidence: Evidence) -> list[Blocker]:
    """Return the sources that block, the most messages first.

    Sources below the limits block as well if together they have too many messages.
    """
    blocking = [row for row in failing if _is_above_limit(row, evidence)]
    keys = {row.source.key for row in blocking}
    others = [row for row in failing if _can_block(row.source) and row.source.key not in keys]
    messages = sum(row.messages for row in others)
    for row in sorted(others, key=_size):
        if messages < MIN_FAILING_MESSAGES or evidence.share(messages) < MAX_UNDECIDED:
            break
        blocking.append(row)
        messages -= row.messages
    return [_blocker(row, evidence) for row in sorted(blocking, key=_size)]


def _size(failing: FailingSource) -> tuple[int, str]:
    return (-failing.messages, failing.source.key)


def _can_block(source: Source) -> bool:
    kinds = (SourceClass.OWN, SourceClass.UNKNOWN)
    return classification(source) in kinds and not is_ignored(source)


def _is_above_limit(failing: FailingSource, evidence: Evidence) -> bool:
    """Whether the source blocks the step by itself."""
    if failing.messages < MIN_FAILING_MESSAGES or not _can_block(failing.source):
        return False
    share = evidence.share(failing.messages)
    if classification(failing.source) is SourceClass.OWN:
        return share >= MAX_FAILING_SHARE or failing.is_stream
    return share >= MAX_UNDECIDED


def _blocker(failing: FailingSource, evidence: Evidence) -> Blocker:
    source, count = failing.source, f"{failing.messages:,}"
    name, advice = source.service.name, _advice(source)
    remediation = advice
    is_own = classification(source) is SourceClass.OWN
    if not is_own:
        reason = f"{name} sent {count} unauthenticated messages and is not classified."
        remediation = f"If it is yours, approve it; if not, block or ignore it. {advice}"
    elif source.kind is SourceClass.OWN:
        reason = f"{name} is one of your sources, and {count} of its messages fail."
    else:
        reason = f"{name} also sends mail of yours, and {count} of its messages fail."
    return Blocker(
        failing=failing,
        share=evidence.share(failing.messages),
        is_own=is_own,
        reason=f"{reason} {source.reason}.",
        remediation=remediation,
        advice=advice,
    )


def _advice(source: Source) -> str:
    sender = source.service.sender
    if sender:
        return f"Set up DKIM for your domain at {sender.name}: {sender.setup}"
    return (
        "Set up DKIM signing with a key of your domain, or use your domain as envelope sender and "
        "add the address to your SPF record."
    )


def total(failing: Iterable[FailingSource]) -> int:
    """Return the number of messages of these sources."""
    return sum(row.messages for row in failing)
