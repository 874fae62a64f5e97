"""The segments in which the senders of a domain are listed."""

from enum import StrEnum

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.sources import Source
from app.analysis.policy import blockers


class Segment(StrEnum):
    """A part of the senders of a domain.

    ALL              every sender, also those that a user decided to ignore
    YOURS            own and approved senders
    REVIEW           senders that a user has to classify
    FORWARDERS       forwarders and mailing lists
    UNAUTHENTICATED  senders whose mail is not authenticated, and blocked ones
    """

    ALL = "all"
    YOURS = "yours"
    REVIEW = "review"
    FORWARDERS = "forwarders"
    UNAUTHENTICATED = "unauthenticated"


_SEGMENTS = {
    SourceClass.OWN: Segment.YOURS,
    SourceClass.UNKNOWN: Segment.REVIEW,
    SourceClass.FORWARDER: Segment.FORWARDERS,
    SourceClass.SUSPICIOUS: Segment.UNAUTHENTICATED,
}


def of(source: Source) -> Segment:
    """Return the segment of a source; ``ALL`` if it is in no other."""
    if blockers.is_ignored(source):
        return Segment.ALL
    return Segment.REVIEW if is_mixed(source) else _SEGMENTS[source.kind]


def is_mixed(source: Source) -> bool:
    """Whether a suspicious source also sends the domain's own or unclassified mail."""
    return source.kind is SourceClass.SUSPICIOUS and not is_unauthenticated(source)


def is_unauthenticated(source: Source) -> bool:
    """Whether nothing that the source sends is the domain's own or unclassified mail."""
    return blockers.classification(source) is SourceClass.SUSPICIOUS


def is_single_address(source: Source) -> bool:
    """Whether only the address of an unauthenticated source is known.

    There can be thousands of them, so lists have them in one row.
    """
    is_decided = source.review is not None
    return source.key.startswith("ip:") and not is_decided and is_unauthenticated(source)
