"""URIs in records: report destinations and logo locations (RFC 3986, RFC 6068)."""

import re
from urllib.parse import unquote, urlsplit

from app.protocols import names
from app.protocols.names import DomainName

_URI = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*):(?:[\w.~:/?#\[\]@$&'()*+=-]|%[0-9a-f]{2})+",
    re.ASCII | re.IGNORECASE,
)
_WEB = ("https", "http")


class Uri(str):
    """A URI as text, with the parts that a reporter needs.

    scheme  in lower case
    host    of a mailto address or a web URI, as A-labels; None for any other scheme
    """

    __slots__ = ("host", "scheme")
    scheme: str
    host: DomainName | None

    def __new__(cls, text: str, scheme: str, host: DomainName | None) -> "Uri":
        uri = super().__new__(cls, text)
        uri.scheme, uri.host = scheme, host
        return uri

    def __reduce__(self) -> tuple[type["Uri"], tuple[str, str, DomainName | None]]:
        return Uri, (str(self), self.scheme, self.host)  # a copy needs the attributes too


def parse(text: str) -> Uri:
    """The URI, in which ``,``, ``!`` and ``;`` must be encoded (RFC 9989 §4.8, RFC 8460 §3).

    raises  ValueError, with the reason for people
    """
    match = _URI.fullmatch(text)
    if not match:
        raise ValueError(_why_not(text))
    scheme = match["scheme"].lower()
    if scheme == "mailto":
        return Uri(text, scheme, _mail_host(text))
    if scheme in _WEB:
        return Uri(text, scheme, _web_host(text))
    return Uri(text, scheme, None)


def _why_not(text: str) -> str:
    if not text:
        return "the URI is empty"
    if ":" not in text:
        return "not a URI" + (": put mailto: before the address" if "@" in text else "")
    return "not a URI: it lacks a scheme or has a character that must be percent-encoded"


def _mail_host(text: str) -> DomainName:
    address = text.partition(":")[2].partition("?")[0]
    local, at, host = address.rpartition("@")
    if not at or not local or "@" in local:
        raise ValueError("mailto: must be followed by exactly one email address")
    if ":" in local:  # not in an atom (RFC 5322 §3.2.3)
        is_repeated = local.lower().startswith("mailto:")
        raise ValueError(
            "mailto: is written twice" if is_repeated else "the address contains a colon"
        )
    return _host(unquote(host))


def _web_host(text: str) -> DomainName:
    parts = urlsplit(text)  # raises ValueError for invalid brackets
    _ = parts.port  # raises ValueError for an invalid port
    if parts.netloc.lower() in ("https:", "http:"):
        raise ValueError(f"{parts.netloc.lower()} is written twice")
    return _host(parts.hostname or "")


def _host(text: str) -> DomainName:
    try:
        return names.parse_host(text)
    except names.NotADomain as error:
        reason = error.code.replace("_", " ")
        raise ValueError(f"the host of the URI is not a valid domain name ({reason})") from None
