"""Text for chat services: encoded so that no character of an alert is markup, a mention or a link.

Titles, evidence and records come from DNS and from reports, so their content is untrusted.
"""

import re
from collections.abc import Callable
from html import escape

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:@])")
_NO_BRACKETS = str.maketrans("<>", "‹›")
_NO_BACKTICKS = str.maketrans("`", "'")
ZERO_WIDTH_SPACE = "\u200b"


def discord(text: str) -> str:
    """Return the text with Discord's Markdown escaped and without mentions, for outside of code."""
    return _MARKDOWN.sub(r"\\\1", text).replace("@", f"@{ZERO_WIDTH_SPACE}")


def code_block(text: str) -> str:
    """Return the text for a Markdown code block, which only backticks can end."""
    return text.translate(_NO_BACKTICKS)


def slack(text: str) -> str:
    """Return the text with the three characters escaped that Slack interprets.

    source  Slack: Formatting text for app surfaces, "Escaping text"
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def google_chat(text: str) -> str:
    """Return the text as HTML for paragraphs of cards; cards have no mentions."""
    return escape(text, quote=False).replace("\n", "<br>")


def telegram(text: str) -> str:
    """Return the text as HTML for ``pre`` and ``code``, in which nothing else is recognized."""
    return escape(text, quote=False)


def attribute(text: str) -> str:
    """Return the text for a quoted attribute of HTML."""
    return escape(text)


def without_tags(text: str) -> str:
    """Return the text without angle brackets, for fields that may be shown as HTML."""
    return text.translate(_NO_BRACKETS)


def plain(text: str) -> str:
    """Return the text unchanged: the service interprets nothing in this field."""
    return text


def fit(text: str, limit: int, encode: Callable[[str], str] = plain) -> str:
    """Return the encoded text, truncated before encoding to at most ``limit`` characters."""
    encoded = encode(text)
    while len(encoded) > limit and text:
        text = text[: min(len(text) * limit // len(encoded), len(text) - 1)]
        encoded = encode(f"{text}…")
    return encoded
