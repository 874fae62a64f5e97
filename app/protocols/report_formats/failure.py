"""Failure reports: one message that failed authentication, and how (RFC 9991, RFC 6591, RFC 5965).

They hold what is private: ``redact`` leaves of a report what may be kept.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, replace
from email.errors import HeaderParseError
from email.header import decode_header
from email.utils import parsedate_to_datetime

from app.protocols.mail import mime
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Warnings
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

AUTH_FAILURE = "auth-failure"
MAX_REPEATED = 20
MAX_INCIDENTS = 2**31 - 1
HASH_CHARACTERS = 16

_LOCAL = r"[^\s<>@,;:()\[\]\"]"
_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_LOCAL}+@([A-Za-z0-9.-]{{1,253}})")
_SEPARATED = re.compile(r"[\s,]+")


@dataclass(frozen=True, slots=True)
class FailureReport:
    """What one report tells.

    auth_failure        dmarc, spf, signature, bodyhash, revoked, adsp (RFC 6591 §3.1, RFC 9991 §4)
    identity_alignment  those of dkim and spf that did not align; empty if all did or it is not said
    arrived_at          seconds since 1970, UTC; ``arrival_date`` is the text
    incidents           how many messages it stands for; 1 unless it says more
    mail_from, recipient, dkim_identity   addresses
    header_from         the domain of the message's author
    """

    feedback_type: str
    auth_failure: tuple[str, ...]
    reported_domains: tuple[str, ...]
    source_ip: str | None
    arrival_date: str | None
    arrived_at: int | None
    identity_alignment: tuple[str, ...]
    delivery_result: str | None
    incidents: int
    mail_from: str | None
    recipient: str | None
    dkim_domain: str | None
    dkim_identity: str | None
    dkim_selector: str | None
    spf_dns: str | None
    authentication_results: tuple[str, ...]
    user_agent: str | None
    subject: str | None
    message_id: str | None
    header_from: str | None
    warnings: tuple[str, ...]

    @property
    def reported_domain(self) -> str | None:
        """The first of those that it is about."""
        return next(iter(self.reported_domains), None)


def parse(
    feedback: bytes, original_headers: bytes, now: int, limits: Limits = LIMITS
) -> FailureReport:
    """Read the part that machines read, and the headers of the message that it is about.

    raises  Refused, also if it is about something else than authentication (RFC 5965 §3.1)
    """
    reader = _Reader(mime.headers(feedback), limits)
    kind = reader.word("feedback-type")
    if not kind:
        raise ReportRejected("not_a_report", "the report has no Feedback-Type")
    if kind != AUTH_FAILURE:
        raise ReportRejected("other_feedback", "the report is not about an authentication failure")
    original = _Reader(mime.headers(original_headers), limits)
    arrival = reader.text("arrival-date") or reader.text("received-date")
    return FailureReport(
        feedback_type=kind,
        auth_failure=reader.words("auth-failure"),
        reported_domains=reader.domains("reported-domain"),
        source_ip=reader.address("source-ip"),
        arrival_date=arrival,
        arrived_at=reader.moment(arrival, now),
        identity_alignment=reader.words("identity-alignment", nothing="none"),
        delivery_result=reader.word("delivery-result"),
        incidents=reader.incidents(),
        mail_from=reader.text("original-mail-from"),
        recipient=reader.text("original-rcpt-to"),
        dkim_domain=next(iter(reader.domains("dkim-domain")), None),
        dkim_identity=reader.text("dkim-identity"),
        dkim_selector=reader.text("dkim-selector"),
        spf_dns=reader.text("spf-dns"),
        authentication_results=reader.texts("authentication-results"),
        user_agent=reader.text("user-agent"),
        subject=_decoded(original.text("subject")),
        message_id=original.text("message-id"),
        header_from=domain_of(_decoded(original.text("from")) or ""),
        warnings=reader.warnings.all(),
    )


def domain_of(text: str) -> str | None:
    """The domain of the last address in the text, which a name before it cannot feign."""
    found = _ADDRESS.findall(text)
    return values.host(found[-1]) if found else None


def redact(report: FailureReport, key: bytes) -> FailureReport:
    """The report without what is private: of each address only a keyed hash and the domain.

    key  the same address has the same hash under the same key, so that repeats can be told
    """

    def masked(text: str | None) -> str | None:
        return text and _ADDRESS.sub(lambda found: _masked(found, key), text)

    return replace(
        report,
        mail_from=masked(report.mail_from),
        recipient=masked(report.recipient),
        dkim_identity=masked(report.dkim_identity),
        subject=masked(report.subject),
        authentication_results=tuple(masked(text) or "" for text in report.authentication_results),
        message_id=masked(report.message_id),
    )


def _masked(found: re.Match[str], key: bytes) -> str:
    address = found[0].lower().encode("utf-8", "replace")
    digest = hmac.new(key, address, hashlib.sha256).hexdigest()[:HASH_CHARACTERS]
    return f"{digest}@{found[1].lower()}"


class _Reader:
    """Reads fields of a header, and notes what is tolerated."""

    def __init__(self, fields: mime.Headers, limits: Limits) -> None:
        self.fields, self.limits, self.warnings = fields, limits, Warnings()

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a field that may be repeated."""
        found = [value for other, value in self.fields if other == name]
        if len(found) > MAX_REPEATED:
            self.warnings.add(f"{name} is there more than {MAX_REPEATED} times")
        return tuple(values.text(value[: self.limits.field]) for value in found[:MAX_REPEATED])

    def text(self, name: str) -> str | None:
        """The first value, or None."""
        return next(filter(None, self.texts(name)), None)

    def word(self, name: str) -> str | None:
        """The first value as a word in lower case."""
        return values.word(self.text(name) or "") or None

    def words(self, name: str, nothing: str = "") -> tuple[str, ...]:
        """A list of words, in lower case, each once; ``nothing`` stands for none."""
        found = _SEPARATED.split((self.text(name) or "").lower())
        words = dict.fromkeys(
            word[: values.MAX_WORD] for word in found if word not in ("", nothing)
        )
        return tuple(words)[:MAX_REPEATED]

    def domains(self, name: str) -> tuple[str, ...]:
        """All values that are domain names."""
        found = [values.host(text) for text in self.texts(name)]
        if None in found:
            self.warnings.add(f"{name} is not a domain name")
        return tuple(dict.fromkeys(domain for domain in found if domain))

    def address(self, name: str) -> str | None:
        """The IP address; None if it is none."""
        text = self.text(name)
        try:
            return values.address(text.strip("[]")) if text else None
        except ReportRejected:
            self.warnings.add(f"{name} is not an IP address")
            return None

    def incidents(self) -> int:
        """How many messages the report stands for (RFC 5965 §3.2)."""
        text = self.text("incidents")
        if text is None:
            return 1
        try:
            return max(1, min(values.number(text, "incidents", self.limits), MAX_INCIDENTS))
        except ReportRejected:
            self.warnings.add("incidents is not a number")
            return 1

    def moment(self, text: str | None, now: int) -> int | None:
        """Seconds since 1970; None if that cannot be told or cannot be."""
        if text is None:
            return None
        try:
            found = int(parsedate_to_datetime(text).timestamp())
        except (ValueError, OverflowError, TypeError, IndexError):
            found = -1
        if not 0 <= found <= now + self.limits.future_seconds:
            self.warnings.add("arrival-date is no date of the past")
            return None
        return found


def _decoded(text: str | None) -> str | None:
    """The text with its encoded words decoded (RFC 2047), where they can be."""
    if text is None or "=?" not in text:
        return text
    try:
        pieces = decode_header(text)
        return values.text(
            "".join(
                piece if isinstance(piece, str) else piece.decode(charset or "ascii", "replace")
                for piece, charset in pieces
            )
        )
    except (HeaderParseError, LookupError, ValueError):
        return text
