"""Who a mail is from, and what proves it: its author's domain, signatures, and what the receiving
server found (RFC 5322 §3.6.2, RFC 6376, RFC 8601)."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from app.protocols import names, public_suffix, tags
from app.protocols.mail import mime
from app.protocols.mail.mime import Headers

MAX_SIGNATURES = 5  # of one mail that are looked at (RFC 6376 §6.1 lets a verifier choose)
MAX_FIELDS, MAX_SIGNED = 1_000, 200  # header fields, and names in tag h, for they are multiplied

_Result = tuple[str, str, Mapping[str, str]]  # method, result, properties

# Each begins where no earlier match could have begun, or matches in any case: a text of one
# character that is repeated is read once, and not again from each of its positions.
_LOCAL = r"[^\s<>,;:()\[\]\"@]"
_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_LOCAL}{{1,320}}@({_LOCAL}{{1,253}})")
_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"\s*([a-z][a-z0-9-]*)(?:/[0-9]+)?\s*=\s*([a-z]+)\b(.*)", re.DOTALL)
_PROPERTY = re.compile(r'(?<![a-z])([a-z]+\.[a-z0-9_-]+)\s*=\s*("[^"]*"|[^\s;]+)')


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM signature that could prove the author.

    index  among the mail's DKIM-Signature fields
    """

    index: int
    domain: str
    selector: str

    @property
    def key_name(self) -> str:
        """Where its key is (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def fields(raw: bytes) -> Headers:
    """The header fields of a mail, topmost first."""
    return mime.headers(mime.header_block(raw))


def author_domain(header: Headers) -> str | None:
    """The domain of the one address in the one From field; None if it is not so plain."""
    found = [value for name, value in header if name == "from"]
    if len(found) != 1:
        return None
    addresses = _ADDRESS.findall(_COMMENT.sub(" ", _QUOTED.sub(" ", found[0])))
    return _host(addresses[0]) if len(addresses) == 1 else None


def is_aligned(one: str, other: str) -> bool:
    """Whether both names belong to one organization, by the Public Suffix List."""
    if one == other:
        return True
    organization = public_suffix.registrable(one)
    return organization is not None and organization == public_suffix.registrable(other)


def signatures(header: Headers, author: str) -> tuple[Signature, ...]:
    """The signatures that would prove the author, if they are valid; the topmost few.

    One of only the beginning of a mail (tag ``l``) proves nothing about what is appended.
    """
    if len(header) > MAX_FIELDS:
        return ()
    return tuple(
        signature
        for index, value in enumerate(_signature_fields(header)[:MAX_SIGNATURES])
        if (signature := _signature(index, value)) and is_aligned(signature.domain, author)
    )


def has_further_signatures(header: Headers) -> bool:
    """Whether there are some that prove nothing here, but may be good: too many, or of a part."""
    values = _signature_fields(header)
    return len(values) > MAX_SIGNATURES or not all(
        _signature(index, value) for index, value in enumerate(values)
    )


def _signature_fields(header: Headers) -> list[str]:
    return [value for name, value in header if name == "dkim-signature"]


def is_vouched_for(header: Headers, servers: Collection[str], author: str) -> bool:
    """Whether a server that is trusted says that the mail is from the author's domain.

    servers  authserv-ids of the servers that receive our mail; they remove what others write
             in their name (RFC 8601 §5)
    source   RFC 8601 §2.2; of several fields only the topmost counts, for senders can add
             any below it
    """
    return any(_proves(*result, author) for result in _trusted(header, servers))


def is_denied(header: Headers, servers: Collection[str], author: str) -> bool:
    """Whether a server that is trusted says that the mail is not from the author's domain.

    It has to have seen a signature: a mail without one may have lost SPF on its way, and proves
    nothing.

    servers, source  as of ``is_vouched_for``
    """
    results = _trusted(header, servers)
    is_signed = any(method == "dkim" and word in ("pass", "fail") for method, word, _ in results)
    return is_signed and any(_refutes(*result, author) for result in results)


def _trusted(header: Headers, servers: Collection[str]) -> list[_Result]:
    """What the topmost field says, if it is a trusted server's."""
    for name, value in header:
        if name == "authentication-results":
            server, results = _results(value)
            return list(results) if server in servers else []
    return []


def _refutes(method: str, result: str, properties: Mapping[str, str], author: str) -> bool:
    return result == "fail" and _is_about(method, properties, author)


def _proves(method: str, result: str, properties: Mapping[str, str], author: str) -> bool:
    return result == "pass" and _is_about(method, properties, author)


def _is_about(method: str, properties: Mapping[str, str], author: str) -> bool:
    if method == "dmarc":
        return _host(properties.get("header.from", "")) == author
    domain = _host(properties.get("header.d", "")) if method == "dkim" else None
    return domain is not None and is_aligned(domain, author)


def _results(value: str) -> tuple[str, Iterator[_Result]]:
    """The authserv-id, and each method with its result and properties, in lower case."""
    server, *rest = _COMMENT.sub(" ", value).lower().split(";")
    found = (_RESULT.match(part) for part in rest)
    results = (
        (match[1], match[2], {k: v.strip('"') for k, v in _PROPERTY.findall(match[3])})
        for match in found
        if match
    )
    return (server.split() or [""])[0], results


def _signature(index: int, value: str) -> Signature | None:
    pairs = tags.split(value)
    found = dict(pairs)
    domain, selector = _host(found.get("d", "")), found.get("s", "").lower()
    signed = [word.strip().lower() for word in found.get("h", "").split(":")]
    if len(found) != len(pairs) or "l" in found or "from" not in signed[:MAX_SIGNED]:
        return None
    if len(signed) > MAX_SIGNED or not domain or not _is_selector(selector):
        return None
    return Signature(index, domain, selector)


def _is_selector(text: str) -> bool:
    return bool(re.fullmatch(r"[a-z0-9_](?:[a-z0-9_.-]{0,61}[a-z0-9_])?", text))


def _host(text: str) -> str | None:
    try:
        return names.parse_host(text)
    except names.NotADomain:
        return None
