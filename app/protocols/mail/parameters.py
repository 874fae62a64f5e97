"""Media types and parameters of MIME header fields (RFC 2045 §5.1, RFC 2231)."""

import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

_MAX_LENGTH = 16 * 1024
_TYPE = re.compile(r"\s*([\w.+-]{1,70}/[\w.+-]{1,70})", re.ASCII)
_PARAMETER = re.compile(
    r';\s*([\w!#$%&\'*+.^`|~-]{1,80})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))', re.ASCII
)
_ESCAPED = re.compile(r"\\(.)")
_CONTINUED = re.compile(r"([^*]+)\*(\d{1,3})(\*?)", re.ASCII)


def media_type(value: str) -> str:
    """The media type in lower case; "" if the field has none."""
    match = _TYPE.match(value[:_MAX_LENGTH])
    return match[1].lower() if match else ""


def parameter(value: str, name: str) -> str:
    """The parameter of the field, decoded and joined (RFC 2231 §3, §4); "" if it is absent."""
    if name not in value.lower():
        return ""
    if "*" not in value:
        return next((text for key, text in _parameters(value) if key == name and text), "")
    plain, parts = "", dict[int, str]()
    for key, text in _parameters(value):
        if key == name:
            plain = plain or text
        elif key == f"{name}*":
            return _decoded(text, True)
        elif (match := _CONTINUED.fullmatch(key)) and match[1] == name:
            number = int(match[2])
            parts.setdefault(number, _decoded(text, number == 0) if match[3] else text)
    joined = "".join(parts[number] for number in sorted(parts)) if 0 in parts else ""
    return plain or joined


def _parameters(value: str) -> Iterator[tuple[str, str]]:
    for match in _PARAMETER.finditer(value[:_MAX_LENGTH]):
        name, quoted, text = match.groups()
        if quoted is not None:
            text = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
        yield name.lower(), text


def _decoded(text: str, has_charset: bool) -> str:
    """The percent-encoded text; the first part names a charset and a language."""
    charset = "utf-8"
    if has_charset and text.count("'") >= 2:
        charset, _, text = text.split("'", 2)
    content = unquote_to_bytes(text)
    try:
        return content.decode(charset or "utf-8", "replace")
    except LookupError:
        return content.decode("utf-8", "replace")
