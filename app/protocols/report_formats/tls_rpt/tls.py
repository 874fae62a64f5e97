"""SMTP TLS reports about successful and failed TLS sessions with a domain (RFC 8460 §4).

What is whole counts: a policy or a failure detail that cannot be read is skipped, and the report
says how many were skipped and why.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from app.protocols.report_formats import moments
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected
from app.protocols.report_formats.tls_rpt import json_reader, json_text
from app.protocols.report_formats.tls_rpt.json_text import Object

POLICY_TYPES = ("tlsa", "sts", "no-policy-found")
UNKNOWN = "unknown"  # policy type of a policy that does not say
RESULT_TYPES = (
    *("starttls-not-supported", "certificate-host-mismatch", "certificate-expired"),
    *("certificate-not-trusted", "validation-failure", "tlsa-invalid", "dnssec-invalid"),
    *("dane-required", "sts-policy-fetch-error", "sts-policy-invalid", "sts-webpki-invalid"),
)
MAX_POLICIES, MAX_FAILURES = 10_000, 50_000
TOO_MANY = json_reader.TOO_MANY  # the whole report is rejected for this reason
ADVICE = "Tell the sender of the report"

SUCCESSFUL, FAILED = "total-successful-session-count", "total-failure-session-count"
SESSIONS = "failed-session-count"

_NAMES = (
    *("organization-name", "contact-info", "report-id", "date-range", "policies"),
    *("start-datetime", "end-datetime", "policy", "summary", "failure-details"),
    *("policy-type", "policy-string", "policy-domain", "mx-host"),
    *(SUCCESSFUL, FAILED, SESSIONS),
    *("result-type", "sending-mta-ip", "receiving-mx-hostname"),
    *("receiving-mx-helo", "receiving-ip", "additional-information", "failure-reason-code"),
)
_ID_PREFIX = 190  # characters of a report id that is too long; a digest follows
_WORD = re.compile(r"[\x21-\x7e]{1,64}")
_STS = re.compile(r"version: *STSv1", re.IGNORECASE)
_PORT = re.compile(r":[0-9]{1,5}\Z")
_PORT_LABELS = re.compile(r"\A_[0-9]{1,5}\._tcp\.", re.IGNORECASE)


def _squashed(name: str) -> str:
    return "".join(filter(str.isalnum, name)).lower()


_BY_SPELLING = {_squashed(name): name for name in _NAMES} | {
    "failureerrorcode": "failure-reason-code"  # its name in drafts of RFC 8460
}
_STANDARD = frozenset(_NAMES)
_POLICY_TYPES = {_squashed(name): name for name in POLICY_TYPES}
_RESULT_TYPES = {_squashed(name): name for name in RESULT_TYPES}


@dataclass(frozen=True, slots=True)
class FailureDetail:
    """Sessions that failed for one reason; addresses are normalized if valid, else as written."""

    result_type: str
    sessions: int
    sending_ip: str | None
    mx: str | None
    mx_helo: str | None
    receiving_ip: str | None
    information: str | None
    reason_code: str | None


@dataclass(frozen=True, slots=True)
class Policy:
    """The sessions under one policy; one session may be under several (§4).

    type    tlsa, sts, no-policy-found, another type that the reporter wrote, or UNKNOWN
    domain  the MX host for tlsa, the recipient's domain for the others; "" if not reported
    """

    type: str
    domain: str
    strings: tuple[str, ...]
    mx_hosts: tuple[str, ...]
    successful: int
    failed: int
    failures: tuple[FailureDetail, ...]


@dataclass(frozen=True, slots=True)
class Skipped:
    """The policies and failure details of a report that could not be read.

    sessions  of the skipped policies, as far as their numbers could be read
    failed    sessions of the skipped failure details, likewise
    reasons   the number of policies and details by the code of the reason
    """

    policies: int = 0
    sessions: int = 0
    details: int = 0
    failed: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TlsReport:
    """One TLS report.

    begin, end  seconds since 1970, UTC
    warnings    deviations that the parser tolerated, and what it skipped
    """

    organization: str
    contact: str | None
    report_id: str
    begin: int
    end: int
    policies: tuple[Policy, ...]
    skipped: Skipped
    warnings: tuple[str, ...]


def parse(document: bytes, now: int, limits: Limits = LIMITS) -> TlsReport:
    """The TLS report in a JSON document.

    now     seconds since 1970; a report must not end more than a day in the future
    raises  ReportRejected, also if every policy of the report would be skipped
    source  RFC 8460 §4.4 with erratum 6241
    """
    loaded = json_text.load(document, limits, _canonical)
    reader = _Reader(limits)
    for warning in loaded.warnings:
        reader.warnings.add(warning)
    report = reader.mapping(loaded.value, "the report")
    if "policies" not in report or "date-range" not in report:
        raise ReportRejected(
            "not_a_report", "The JSON is not a TLS report: it has no policies or no date-range"
        )
    begin, end = reader.period(report["date-range"], now)
    policies = tuple(reader.policies(report["policies"]))
    return TlsReport(
        organization=reader.text(report, "organization-name") or "",
        contact=reader.text(report, "contact-info"),
        report_id=reader.report_id(report),
        begin=begin,
        end=end,
        policies=policies,
        skipped=reader.skipped,
        warnings=reader.all_warnings(),
    )


def _canonical(name: str) -> str:
    """The standard name of a member that is written in camel case or with underscores."""
    return name if name in _STANDARD else _BY_SPELLING.get(_squashed(name[:100]), name)


class _Reader(json_reader.Reader):
    """Reads the members of a report and counts what it skips."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits)
        self.skipped, self.failures = Skipped(), 0

    def report_id(self, report: Object) -> str:
        """The report id, which identifies duplicates; a digest stands for the end of a long one."""
        value = report.get("report-id")
        if isinstance(value, json_text.Unreadable):
            raise ReportRejected(value.reason, f"The report-id {value.detail}. {ADVICE}")
        report_id = values.text(self.whole_text(value, "report-id") or "")
        if not report_id:
            raise ReportRejected(
                "missing_element",
                f"The TLS report has no report-id, so it cannot be told from others. {ADVICE}",
            )
        if len(report_id) > self.limits.report_id:
            digest = hashlib.sha256(report_id.encode("utf-8", "replace")).hexdigest()
            self.warnings.add("report_id_shortened")
            report_id = report_id[:_ID_PREFIX] + digest
        return report_id

    def period(self, value: object, now: int) -> tuple[int, int]:
        """Begin and end of the period in seconds since 1970."""
        period = self.mapping(value, "date-range")
        begin, end = (self._moment(period, f"{which}-datetime") for which in ("start", "end"))
        values.check_period(begin, end, now, self.limits)
        return begin, end

    def policies(self, value: object) -> Iterator[Policy]:
        """The policies with their sessions; those that cannot be read are skipped.

        raises  ReportRejected if there is no policy, or none can be read
        """
        entries = self.array(value, "policies", MAX_POLICIES)
        if not entries:
            raise ReportRejected(
                "no_records", "The TLS report has no policy, and so no figures. No action needed"
            )
        first: ReportRejected | None = None
        for entry in entries:
            try:
                yield self._policy(self.mapping(entry, "an entry in policies"))
            except ReportRejected as error:
                if error.reason == TOO_MANY:
                    raise
                first = first or error
                self._skip(error, policies=1, sessions=self._sessions(entry))
        if first and self.skipped.policies == len(entries):
            raise ReportRejected(
                first.reason, f"No policy of the TLS report can be read: {first.detail}. {ADVICE}"
            )

    def all_warnings(self) -> tuple[str, ...]:
        """What was skipped, and then the other warnings."""
        skipped = self.skipped
        codes = ["policies_skipped"] if skipped.policies else []
        codes += ["failure_details_skipped"] if skipped.details else []
        return (*codes, *self.warnings.all())

    def _skip(
        self, error: ReportRejected, *, policies: int = 0, details: int = 0, sessions: int = 0
    ) -> None:
        """Count a policy or a failure detail that could not be read."""
        skipped = self.skipped
        self.skipped = Skipped(
            policies=skipped.policies + policies,
            sessions=skipped.sessions + policies * sessions,
            details=skipped.details + details,
            failed=skipped.failed + details * sessions,
            reasons={**skipped.reasons, error.reason: skipped.reasons.get(error.reason, 0) + 1},
        )

    def _readable(self, of: object, key: str) -> int:
        """The number of sessions, or 0 if it cannot be read."""
        try:
            return (self.count(of, key) if isinstance(of, dict) else None) or 0
        except ReportRejected:
            return 0

    def _sessions(self, entry: object) -> int:
        summary = entry.get("summary") if isinstance(entry, dict) else None
        return sum(self._readable(summary, key) for key in (SUCCESSFUL, FAILED))

    def _policy(self, of: Object) -> Policy:
        policy = self.mapping(of.get("policy"), "policy")
        summary = self.mapping(of.get("summary") or {}, "summary")
        domain = self._domain(policy)
        strings = self.texts(policy, "policy-string")
        successful, failed = self.count(summary, SUCCESSFUL), self.count(summary, FAILED)
        failures = tuple(self._failures(of.get("failure-details")))
        if failed is None:
            failed = sum(failure.sessions for failure in failures)
            self.warnings.add("failed_sessions_missing")
        if successful is None:
            self.warnings.add("count_missing", SUCCESSFUL)
        return Policy(
            type=self._policy_type(policy, strings),
            domain=domain,
            strings=strings,
            mx_hosts=self.texts(policy, "mx-host"),
            successful=successful or 0,
            failed=failed,
            failures=failures,
        )

    def _failures(self, value: object) -> Iterator[FailureDetail]:
        """The failure details of a policy; those that cannot be read are skipped."""
        try:
            entries = self.array(value, "failure-details", MAX_FAILURES)
        except ReportRejected as error:
            if error.reason == TOO_MANY:
                raise
            entries = []
            self._skip(error, details=1)
        for entry in entries:
            self.failures += 1
            if self.failures > MAX_FAILURES:
                raise ReportRejected(
                    TOO_MANY, f"The TLS report has more than {MAX_FAILURES} failure details"
                )
            try:
                yield self._failure(self.mapping(entry, "an entry in failure-details"))
            except ReportRejected as error:
                self._skip(error, details=1, sessions=self._readable(entry, SESSIONS))

    def _failure(self, of: Object) -> FailureDetail:
        result_type = self.text(of, "result-type")
        if not result_type:
            raise ReportRejected("missing_element", "a failure detail has no result-type")
        sessions = self.count(of, SESSIONS)
        if sessions is None:
            self.warnings.add("count_missing", SESSIONS)
        word = values.word(result_type)
        return FailureDetail(
            result_type=_RESULT_TYPES.get(_squashed(word), word),
            sessions=sessions or 0,
            sending_ip=self._address(of, "sending-mta-ip"),
            mx=self.text(of, "receiving-mx-hostname"),
            mx_helo=self.text(of, "receiving-mx-helo"),
            receiving_ip=self._address(of, "receiving-ip"),
            information=self.text(of, "additional-information"),
            reason_code=self.text(of, "failure-reason-code"),
        )

    def _moment(self, of: Object, key: str) -> int:
        text = self.whole_text(of.get(key), key) or ""
        moment = moments.parse(text, is_end=key.startswith("end"))
        if moment is None:
            raise ReportRejected(
                "bad_dates", f"The {key} of the TLS report is not a date and time. {ADVICE}"
            )
        timestamp, has_zone = moment
        if not has_zone:
            self.warnings.add("time_zone_missing", key)
        return timestamp

    def _policy_type(self, policy: Object, strings: tuple[str, ...]) -> str:
        kind = values.word(self.text(policy, "policy-type") or "")
        kind = _POLICY_TYPES.get(_squashed(kind), kind)
        if not _WORD.fullmatch(kind):
            is_sts = any(_STS.match(text) for text in strings)
            kind = "sts" if is_sts else UNKNOWN
            self.warnings.add("policy_type_missing")
        elif kind not in POLICY_TYPES:
            self.warnings.add("policy_type_unknown")
        return kind

    def _domain(self, policy: Object) -> str:
        text = values.text(self.whole_text(policy.get("policy-domain"), "policy-domain") or "")
        if not text:
            self.warnings.add("policy_domain_missing")
            return ""
        name = _PORT.sub("", text[:300]).strip("[]<>\"'").removeprefix("*.")
        domain = values.host(_PORT_LABELS.sub("", name, count=1))
        if not domain:
            raise ReportRejected("bad_domain", "policy-domain is not a valid domain name")
        return domain

    def _address(self, of: Object, key: str) -> str | None:
        text = self.text(of, key)
        if text is None:
            return None
        try:
            return values.address(text.strip("[]"))
        except ReportRejected:
            self.warnings.add("not_an_address", key)
            return text
