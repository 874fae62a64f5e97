"""Text for chat services: encoded so that no character of an alert is markup, a mention or a link.

Titles, evidence and records come from DNS and from reports, so strangers choose their words.
"""

import re
from collections.abc import Callable
from html import escape

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:@])")
_NO_BRACKETS = str.maketrans("<>", "‹›")
_NO_BACKTICKS = str.maketrans("`", "'")
ZERO_WIDTH_SPACE = "\u200b"


def discord(text: str) -> str:
    """Outside of code blocks: every sign of Discord's Markdown escaped, and no mention left."""
    return _MARKDOWN.sub(r"\\\1", text).replace("@", f"@{ZERO_WIDTH_SPACE}")


def code_block(text: str) -> str:
    """For the inside of a code block in Markdown, which only backticks can end."""
    return text.translate(_NO_BACKTICKS)


def slack(text: str) -> str:
    """The three characters that begin and end everything Slack interprets.

    source  Slack: Formatting text for app surfaces, "Escaping text"
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def google_chat(text: str) -> str:
    """HTML, as paragraphs of cards have it; cards have no mentions."""
    return escape(text, quote=False).replace("\n", "<br>")


def telegram(text: str) -> str:
    """HTML, as ``parse_mode`` has it; within ``pre`` and ``code`` nothing else is recognized."""
    return escape(text, quote=False)


def attribute(text: str) -> str:
    """For a quoted attribute of HTML."""
    return escape(text)


def without_tags(text: str) -> str:
    """For pages that may show HTML without saying so: nothing in it is a tag."""
    return text.translate(_NO_BRACKETS)


def plain(text: str) -> str:
    """Unchanged: the service interprets nothing in this field."""
    return text


def fit(text: str, limit: int, encode: Callable[[str], str] = plain) -> str:
    """The encoded text, cut before it is encoded so that it has at most ``limit`` characters."""
    encoded = encode(text)
    while len(encoded) > limit and text:
        text = text[: min(len(text) * limit // len(encoded), len(text) - 1)]
        encoded = encode(f"{text}…")
    return encoded
