"""TLS-RPT records: where TLS reports are sent to (RFC 8460 §3)."""

from dataclasses import dataclass

from app.protocols import tags, uris

VERSION = "TLSRPTv1"
SCHEMES = ("mailto", "https")


class NotTlsRpt(ValueError):
    """The text does not begin with ``v=TLSRPTv1;``: a sender sees no record."""


class TlsRptUnusable(ValueError):
    """Senders cannot use the record.

    code  ``rua_missing``, ``rua_invalid``
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass(frozen=True, slots=True)
class TlsRptRecord:
    """One TLS-RPT record.

    rua             the usable URIs in order, repeated ones too; at least one
    problems        the others, and what is no tag
    duplicate_tags  names that occur again; the first of each was read
    """

    rua: tuple[uris.Uri, ...]
    problems: tuple[tags.Problem, ...] = ()
    duplicate_tags: tuple[str, ...] = ()


def is_record(text: str) -> bool:
    """Whether senders take the TXT value for a TLS-RPT record."""
    return text.startswith(f"v={VERSION};")


def is_attempt(text: str) -> bool:
    """Whether it was meant as a TLS-RPT record, though senders may see none."""
    return tags.claims_version(text, "TLSRPT")


def parse_record(text: str) -> TlsRptRecord:
    """Read one TXT value found at ``_smtp._tls.<domain>`` as a sender reads it.

    text    the RR's character-strings, joined without a separator
    raises  NotTlsRpt; Unusable if no address is left to report to
    source  RFC 8460 §3 (unknown fields are ignored)
    """
    if not is_record(text):
        raise NotTlsRpt(f"the record does not begin with v={VERSION};")
    found = tags.split(text)
    problems = [tags.Problem("", value, "not a tag: no =") for name, value in found if not name]
    values = [value for name, value in found if name == "rua"]
    if not values or not values[0]:
        raise TlsRptUnusable("rua_missing", "rua is required")
    read: list[uris.Uri] = []
    for address in values[0].split(","):
        try:
            read.append(_destination(address.strip()))
        except ValueError as error:
            problems.append(tags.Problem("rua", address.strip(), str(error)))
    if not read:
        raise TlsRptUnusable("rua_invalid", f"no usable address in rua: {problems[-1].reason}")
    duplicates = tags.repeated(name for name, _ in found if name)
    return TlsRptRecord(tuple(read), tuple(problems), duplicates)


def _destination(text: str) -> uris.Uri:
    uri = uris.parse(text)
    if uri.scheme not in SCHEMES:
        raise ValueError("only mailto: and https: are allowed")
    return uri
