"""URIs in records: where reports are sent to and logos are fetched from (RFC 3986, RFC 6068)."""

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
    """A URI as text, which knows what a reporter needs of it.

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
        return Uri, (str(self), self.scheme, self.host)  # else a copy would lack the rest


def parse(text: str) -> Uri:
    """The URI; ``,``, ``!`` and ``;`` must be percent-encoded in it (RFC 9989 §4.8, RFC 8460 §3).

    raises  ValueError, with the reason for people
    """
    found = _URI.fullmatch(text)
    if not found:
        raise ValueError(_why_not(text))
    scheme = found["scheme"].lower()
    if scheme == "mailto":
        return Uri(text, scheme, _mail_host(text))
    if scheme in _WEB:
        return Uri(text, scheme, _web_host(text))
    return Uri(text, scheme, None)


def _why_not(text: str) -> str:
    if not text:
        return "the URI is empty"
    if ":" not in text:
        return "not a URI" + (": mailto: is missing before the address" if "@" in text else "")
    return "not a URI: it has a character that must be percent-encoded, or no scheme"


def _mail_host(text: str) -> DomainName:
    address = text.partition(":")[2].partition("?")[0]
    local, at, host = address.rpartition("@")
    if not at or not local or "@" in local:
        raise ValueError("not one mail address behind mailto:")
    return _host(unquote(host))


def _web_host(text: str) -> DomainName:
    parts = urlsplit(text)  # raises ValueError itself for bad brackets
    _ = parts.port  # and for a bad port
    return _host(parts.hostname or "")


def _host(text: str) -> DomainName:
    try:
        return names.parse_host(text)
    except names.NotADomain as error:
        raise ValueError(f"no host in it that reports can go to: {error.reason}") from None
