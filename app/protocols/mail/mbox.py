"""The messages of an mbox file (RFC 4155, and its variants mboxo and mboxrd)."""

import re
from collections.abc import Iterator, Sequence
from mmap import mmap

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) "
# After an empty line, any ``From `` line that a header field follows; else only one with a date.
_SEPARATOR = re.compile(
    rb"(?:\A\s{0,100}|\n\r?\n)From [^\n]*\n(?=>?[!-9;-~]{1,76}[ \t]*:)"
    rb"|\nFrom [^\s]{1,320} +" + _DAY + rb"[^\n]{1,60}\n(?=[!-9;-~]{1,76}[ \t]*:)"
)
_ESCAPED = re.compile(rb"^>(>*From )", re.MULTILINE)
_START = re.compile(rb"\s{0,100}From ")


def is_start(beginning: bytes) -> bool:
    """Whether an mbox file may begin like this."""
    return bool(_START.match(beginning))


def messages(content: bytes) -> Sequence[bytes]:
    """The messages without their ``From `` lines; none if the content is no mbox file."""
    if not is_start(content):
        return ()
    return [unescaped(content[start:end]) for start, end in ranges(content)]


def ranges(content: bytes | mmap) -> Iterator[tuple[int, int]]:
    """The start and end of each message of an mbox file, without its ``From `` line."""
    start: int | None = None
    for match in _SEPARATOR.finditer(content):
        if start is not None:
            yield start, match.start() + 1
        start = match.end()
    if start is not None:
        yield start, len(content)


def unescaped(message: bytes) -> bytes:
    """The message without the ``>`` that an mbox file has before its ``From `` lines."""
    return _ESCAPED.sub(rb"\1", message)


def has_several_messages(content: bytes) -> bool:
    """Whether the content is an mbox file with more than one message."""
    if not is_start(content):
        return False
    matches = _SEPARATOR.finditer(content)
    return next(matches, None) is not None and next(matches, None) is not None
