"""Failure reports about one message that failed authentication (RFC 9991, RFC 6591, RFC 5965).

They contain personal data; ``redact`` reduces a report to what may be stored.
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, replace

from app.protocols.mail import encoded_words, mime
from app.protocols.mail.comments import without_comments
from app.protocols.report_formats import moments
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Warnings
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

AUTH_FAILURE = "auth-failure"
MAX_REPEATED = 20
MAX_INCIDENTS = 2**31 - 1
HASH_CHARACTERS = 16

_LOCAL = r"[^\s<>@,;:()\[\]\"]"
_ADDRESS = re.compile(rf"(?<!{_LOCAL}){_LOCAL}+@([A-Za-z0-9.-]{{1,253}})")
_SEPARATED = re.compile(r"[\s,;]+")
_TOKEN = re.compile(r"[^\s\[\]()<>,;=\"']+")
_TAG = re.compile(r"\Aip(?:v?[46])?:", re.IGNORECASE)
_PORT = re.compile(r"\A([0-9]{1,3}(?:\.[0-9]{1,3}){3}):[0-9]{1,5}\Z")  # after an IPv4 address
_EVIDENCE = ("auth-failure", "reported-domain", "identity-alignment")


@dataclass(frozen=True, slots=True)
class FailureReport:
    """One failure report.

    auth_failure        dmarc, spf, signature, bodyhash, revoked, adsp (RFC 6591 §3.1, RFC 9991 §4)
    identity_alignment  those of dkim and spf that did not align; empty if none or not reported
    arrived_at          seconds since 1970, UTC; ``arrival_date`` is the text
    incidents           number of messages that the report covers; 1 by default
    mail_from, recipient, dkim_identity   addresses
    header_from         the author's domain of the message
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
        """The first of the reported domains."""
        return next(iter(self.reported_domains), None)

    @property
    def policy_domains(self) -> list[str]:
        """The domains that the report may be about, the most likely first."""
        sender = domain_of(self.mail_from or "")
        names = (*self.reported_domains, self.header_from, self.dkim_domain, sender)
        return list(dict.fromkeys(name for name in names if name))


def parse(
    feedback: bytes, original_headers: bytes, now: int, limits: Limits = LIMITS
) -> FailureReport:
    """The failure report in a feedback part and the headers of the failed message.

    raises  ReportRejected, also if the feedback is not about authentication (RFC 5965 §3.1)
    """
    reader = _Reader(mime.headers(feedback), limits)
    kind = reader.feedback_type()
    if kind != AUTH_FAILURE:
        raise ReportRejected(
            "other_feedback",
            "The feedback report is not about a failed authentication. No action needed",
        )
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
        dkim_selector=reader.structured("dkim-selector"),
        spf_dns=reader.text("spf-dns"),
        authentication_results=reader.texts("authentication-results"),
        user_agent=reader.text("user-agent"),
        subject=_decoded(original.text("subject")),
        message_id=original.text("message-id"),
        header_from=domain_of(_decoded(original.text("from")) or ""),
        warnings=reader.warnings.all(),
    )


def digest(feedback: bytes, original_headers: bytes) -> bytes:
    """The identity of a report: of all fields, so also of those that cannot be read.

    It does not depend on the order and spelling of field names, on white space or on line ends.
    """
    fields = sorted(mime.headers(feedback))
    return hashlib.sha256(repr((fields, mime.headers(original_headers))).encode()).digest()


def domain_of(text: str) -> str | None:
    """The domain of the last address in the text, which a display name cannot spoof."""
    domains = _ADDRESS.findall(text)
    return values.host(domains[-1]) if domains else None


def redact(report: FailureReport, key: bytes) -> FailureReport:
    """The report without personal data: each address becomes a keyed hash and the domain.

    key  the same address has the same hash under the same key, so that repeats are recognizable
    """

    def masked(text: str | None) -> str | None:
        return text and _ADDRESS.sub(lambda match: _masked(match, key), text)

    return replace(
        report,
        mail_from=masked(report.mail_from),
        recipient=masked(report.recipient),
        dkim_identity=masked(report.dkim_identity),
        subject=masked(report.subject),
        authentication_results=tuple(masked(text) or "" for text in report.authentication_results),
        message_id=masked(report.message_id),
    )


def _masked(match: re.Match[str], key: bytes) -> str:
    address = match[0].lower().encode("utf-8", "replace")
    digest = hmac.new(key, address, hashlib.sha256).hexdigest()[:HASH_CHARACTERS]
    return f"{digest}@{match[1].lower()}"


class _Reader:
    """Reads header fields and collects parser warnings."""

    def __init__(self, fields: mime.Headers, limits: Limits) -> None:
        self.fields, self.limits, self.warnings = fields, limits, Warnings()

    def texts(self, name: str) -> tuple[str, ...]:
        """All values of a field that may be repeated."""
        matches = [value for other, value in self.fields if other == name]
        if len(matches) > MAX_REPEATED:
            self.warnings.add("too_many_values", name)
        return tuple(values.text(value[: self.limits.field]) for value in matches[:MAX_REPEATED])

    def text(self, name: str) -> str | None:
        """The first value of the field, or None."""
        return next(filter(None, self.texts(name)), None)

    def structured(self, name: str) -> str | None:
        """The first value of the field without comments, or None."""
        values_without = (without_comments(text) for text in self.texts(name))
        return next(filter(None, values_without), None)

    def word(self, name: str) -> str | None:
        """The first value as a keyword in lower case."""
        return values.word(self.structured(name) or "") or None

    def words(self, name: str, nothing: str = "") -> tuple[str, ...]:
        """The distinct keywords of all fields in lower case; ``nothing`` means an empty list."""
        text = " ".join(map(without_comments, self.texts(name)))
        words = dict.fromkeys(
            word[: values.MAX_WORD]
            for word in _SEPARATED.split(text.lower())
            if word not in ("", nothing)
        )
        return tuple(words)[:MAX_REPEATED]

    def feedback_type(self) -> str:
        """The type of the feedback; a report without it is about authentication if it says so.

        raises  ReportRejected
        """
        kind = (self.word("feedback-type") or "").replace("_", "-")
        if kind:
            return kind
        if not any(self.text(name) for name in _EVIDENCE):
            raise ReportRejected(
                "not_a_report",
                "The feedback report does not say what it is about. Tell the sender of the report",
            )
        self.warnings.add("feedback_type_missing")
        return AUTH_FAILURE

    def domains(self, name: str) -> tuple[str, ...]:
        """All values of the field that are domain names."""
        texts = [without_comments(text).strip("<>\"'") for text in self.texts(name)]
        hosts = [values.host(text) for text in texts]
        if None in hosts:
            self.warnings.add("not_a_domain", name)
        return tuple(dict.fromkeys(domain for domain in hosts if domain))

    def address(self, name: str) -> str | None:
        """The IP address in the field; None if the field is absent or has no IP address."""
        for text in self.texts(name):
            for token in (*_TOKEN.findall(without_comments(text)), *_TOKEN.findall(text)):
                try:
                    return values.address(_PORT.sub(r"\1", _TAG.sub("", token)).partition("%")[0])
                except ReportRejected:
                    continue
        if self.text(name):
            self.warnings.add("not_an_address", name)
        return None

    def incidents(self) -> int:
        """The number of messages that the report covers (RFC 5965 §3.2)."""
        text = self.structured("incidents")
        if text is None:
            return 1
        try:
            return max(1, min(values.number(text, "incidents", self.limits), MAX_INCIDENTS))
        except ReportRejected:
            self.warnings.add("incidents_invalid")
            return 1

    def moment(self, text: str | None, now: int) -> int | None:
        """The time in seconds since 1970; None if it is unreadable or out of range."""
        if text is None:
            return None
        moment = moments.parse(without_comments(text))
        timestamp = moment[0] if moment else -1
        if not 0 <= timestamp <= now + self.limits.future_seconds:
            self.warnings.add("arrival_date_invalid")
            return None
        return timestamp


def _decoded(text: str | None) -> str | None:
    """The text on one line with its encoded words decoded."""
    return text and values.text(encoded_words.decoded(text))
