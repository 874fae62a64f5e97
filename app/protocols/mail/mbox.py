"""The messages of an mbox file (RFC 4155, and its variants mboxo and mboxrd)."""

import re
from collections.abc import Sequence

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
# After an empty line, any ``From `` line that a header field follows; else only one with a date.
_SEPARATOR = re.compile(
    rb"(?:\A\s{0,100}|\n\r?\n)From [^\n]*\n(?=>?[!-9;-~]{1,76}[ \t]*:)"
    rb"|\nFrom [^\s]{1,320} +" + _DAY + rb"[^\n]{1,60}\n(?=[!-9;-~]{1,76}[ \t]*:)"
)
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_START = re.compile(rb"\s{0,100}From ")


def messages(content: bytes) -> Sequence[bytes]:
    """The messages without their ``From `` lines; none if the content is no mbox file."""
    if not _START.match(content):
        return ()
    separators = list(_SEPARATOR.finditer(content))
    starts = [match.end() for match in separators]
    ends = [match.start() + 1 for match in separators[1:]]
    return [
        _ESCAPED.sub(rb"\1", content[start:end])
        for start, end in zip(starts, [*ends, len(content)], strict=bool(starts))
    ]


def has_several_messages(content: bytes) -> bool:
    """Whether the content is an mbox file with more than one message."""
    if not _START.match(content):
        return False
    matches = _SEPARATOR.finditer(content)
    return next(matches, None) is not None and next(matches, None) is not None
