"""The author's domain of a message and the evidence for it: DKIM signatures and the
Authentication-Results of the receiving server (RFC 5322 §3.6.2, RFC 6376, RFC 8601)."""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from app.protocols import names, public_suffix, tags
from app.protocols.mail import mime
from app.protocols.mail.mime import Headers

MAX_SIGNATURES = 5  # verified in one message (RFC 6376 §6.1 lets a verifier choose)
MAX_FIELDS, MAX_SIGNED = 1_000, 200  # header fields, and names in tag h: the work is their product

_Result = tuple[str, str, Mapping[str, str]]  # method, result, properties

# Each pattern can start only where no earlier match could have started, or always matches, so that
# a run of one repeated character is read once and not again from each of its positions.
_LOCAL = r"[^\s<>,;:()\[\]\"@]"
_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_LOCAL}{{1,320}}@({_LOCAL}{{1,253}})")
_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*(?:"|\\?\Z)', re.DOTALL)
_COMMENT = re.compile(r"\([^()]*\)")
_RESULT = re.compile(r"\s*([a-z][a-z0-9-]*)(?:/[0-9]+)?\s*=\s*([a-z]+)\b(.*)", re.DOTALL)
_PROPERTY = re.compile(r'(?<![a-z])([a-z]+\.[a-z0-9_-]+)\s*=\s*("[^"]*"|[^\s;]+)')


@dataclass(frozen=True, slots=True)
class Signature:
    """A DKIM signature that could authenticate the author's domain.

    index  position among the DKIM-Signature fields of the message
    """

    index: int
    domain: str
    selector: str

    @property
    def key_name(self) -> str:
        """The DNS name of its public key (RFC 6376 §3.6.2.1)."""
        return f"{self.selector}._domainkey.{self.domain}"


def fields(raw: bytes) -> Headers:
    """The header fields of a message, topmost first."""
    return mime.headers(mime.header_block(raw))


def author_domain(header: Headers) -> str | None:
    """The domain of the only address in the only From field; None if there are none or several."""
    authors = [value for name, value in header if name == "from"]
    if len(authors) != 1:
        return None
    addresses = _ADDRESS.findall(_COMMENT.sub(" ", _QUOTED.sub(" ", authors[0])))
    return _host(addresses[0]) if len(addresses) == 1 else None


def is_aligned(name: str, other: str) -> bool:
    """Whether both names belong to one organization, by the Public Suffix List."""
    if name == other:
        return True
    organization = public_suffix.registrable(name)
    return organization is not None and organization == public_suffix.registrable(other)


def signatures(header: Headers, author: str) -> tuple[Signature, ...]:
    """The topmost signatures that authenticate the author's domain if they are valid.

    A signature with a body length (tag ``l``) is ignored: it does not cover appended text.
    """
    if len(header) > MAX_FIELDS:
        return ()
    return tuple(
        signature
        for index, value in enumerate(_signature_fields(header)[:MAX_SIGNATURES])
        if (signature := _signature(index, value)) and is_aligned(signature.domain, author)
    )


def has_further_signatures(header: Headers) -> bool:
    """Whether signatures were ignored that may be valid: too many, or over a part of the body."""
    values = _signature_fields(header)
    return len(values) > MAX_SIGNATURES or not all(
        _signature(index, value) for index, value in enumerate(values)
    )


def _signature_fields(header: Headers) -> list[str]:
    return [value for name, value in header if name == "dkim-signature"]


def is_vouched_for(header: Headers, servers: Collection[str], author: str) -> bool:
    """Whether a trusted server states that the message is from the author's domain.

    servers  authserv-ids of the servers that receive our mail; they remove forged fields with
             their own id (RFC 8601 §5)
    source   RFC 8601 §2.2; only the topmost field counts, because a sender can add any field
             below it
    """
    return any(_proves(*result, author) for result in _trusted(header, servers))


def is_denied(header: Headers, servers: Collection[str], author: str) -> bool:
    """Whether a trusted server states that the message is not from the author's domain.

    The server must have checked a signature: an unsigned message may only have lost SPF in
    transit.

    servers, source  as for ``is_vouched_for``
    """
    results = _trusted(header, servers)
    is_signed = any(method == "dkim" and word in ("pass", "fail") for method, word, _ in results)
    return is_signed and any(_refutes(*result, author) for result in results)


def _trusted(header: Headers, servers: Collection[str]) -> list[_Result]:
    """The results in the topmost field, if a trusted server added it."""
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
    """The authserv-id, and each method with its result and properties in lower case."""
    server, *rest = _COMMENT.sub(" ", value).lower().split(";")
    matches = (_RESULT.match(part) for part in rest)
    results = (
        (match[1], match[2], {k: v.strip('"') for k, v in _PROPERTY.findall(match[3])})
        for match in matches
        if match
    )
    return (server.split() or [""])[0], results


def _signature(index: int, value: str) -> Signature | None:
    pairs = tags.split(value)
    values = dict(pairs)
    domain, selector = _host(values.get("d", "")), values.get("s", "").lower()
    signed = [word.strip().lower() for word in values.get("h", "").split(":")]
    if len(values) != len(pairs) or "l" in values or "from" not in signed[:MAX_SIGNED]:
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
