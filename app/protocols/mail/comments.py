"""Comments in structured header fields (RFC 5322 §3.2.2)."""

import re

_MARK = re.compile(r"\\.|[()]", re.DOTALL)


def without_comments(text: str) -> str:
    """The text outside comments, which may be nested; an unterminated one extends to the end."""
    pieces, depth, start = [], 0, 0
    for mark in _MARK.finditer(text):
        if mark[0] == "(":
            if not depth:
                pieces.append(text[start : mark.start()])
            depth += 1
        elif mark[0] == ")" and depth:
            depth -= 1
            start = mark.end()
    if not depth:
        pieces.append(text[start:])
    return " ".join(" ".join(pieces).split())
