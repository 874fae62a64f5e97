"""SMTP TLS reports about successful and failed TLS sessions with a domain (RFC 8460 §4)."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Warnings
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

POLICY_TYPES = frozenset(("tlsa", "sts", "no-policy-found"))
MAX_POLICIES, MAX_FAILURES, MAX_STRINGS = 10_000, 50_000, 1_000

_WORD = re.compile(r"[\x21-\x7e]{1,64}")
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9:]{5,8}[0-9.:+Zz-]{0,20}")
_COUNT = re.compile(r"[0-9]{1,20}")

Object = dict[str, Any]


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

    type    tlsa, sts, no-policy-found, or another type that the reporter wrote
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
class TlsReport:
    """One TLS report.

    begin, end  seconds since 1970, UTC
    warnings    deviations that the parser tolerated
    """

    organization: str
    contact: str | None
    report_id: str
    begin: int
    end: int
    policies: tuple[Policy, ...]
    warnings: tuple[str, ...]


def parse(document: bytes, now: int, limits: Limits = LIMITS) -> TlsReport:
    """The TLS report in a JSON document.

    now     seconds since 1970; a report must not end more than a day in the future
    raises  ReportRejected
    source  RFC 8460 §4.4 with erratum 6241; RFC 7493 (no duplicate names, no NaN or Infinity)
    """
    reader = _Reader(limits)
    report = reader.mapping(_loaded(document, limits), "the report")
    if "policies" not in report or "date-range" not in report:
        raise ReportRejected("not_a_report", "the JSON has no policies or no date-range")
    begin, end = reader.period(report["date-range"], now)
    return TlsReport(
        organization=reader.text(report, "organization-name") or "",
        contact=reader.text(report, "contact-info"),
        report_id=reader.report_id(report),
        begin=begin,
        end=end,
        policies=tuple(reader.policies(report["policies"])),
        warnings=reader.warnings.all(),
    )


class _Reader:
    """Reads values and collects parser warnings."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.warnings, self.failures = limits, Warnings(), 0

    def mapping(self, value: object, what: str) -> Object:
        """The value, which must be an object."""
        if not isinstance(value, dict):
            raise ReportRejected("bad_value", f"{what} is not an object")
        return value

    def array(self, value: object, what: str, most: int) -> list[Any]:
        """The value, which must be an array; null counts as an empty array."""
        if value is None:
            return []
        if not isinstance(value, list):
            raise ReportRejected("bad_value", f"{what} is not an array")
        if len(value) > most:
            raise ReportRejected("too_many_records", f"{what} has more than {most} entries")
        return value

    def text(self, of: Object, key: str) -> str | None:
        """The text on one line; None if it is absent."""
        value = of.get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return self._text(value, key) or None

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        """An array of texts; a single text counts as an array of one (erratum 6241)."""
        if isinstance(value, str):
            value = [value] if value else []
        return tuple(self._text(item, key) for item in self.array(value, key, MAX_STRINGS))

    def count(self, of: Object, key: str, *, required: bool = False) -> int:
        """A number of sessions; 0 if it is absent."""
        value = of.get(key)
        if isinstance(value, str) and _COUNT.fullmatch(value):
            self.warnings.add(f"{key} is a string instead of a number")
            value = int(value)
        if value is None and not required:
            self.warnings.add(f"{key} is missing; 0 is assumed")
            return 0
        if type(value) is not int or not 0 <= value <= self.limits.integer:
            raise ReportRejected("bad_number", f"{key} is not a valid number of sessions")
        return value

    def report_id(self, report: Object) -> str:
        """The report id, which identifies duplicates."""
        report_id = self.text(report, "report-id")
        if not report_id:
            raise ReportRejected("missing_element", "the report has no report-id")
        if len(report_id) > self.limits.report_id:
            raise ReportRejected(
                "field_too_long", f"report-id is longer than {self.limits.report_id} characters"
            )
        return report_id

    def period(self, value: object, now: int) -> tuple[int, int]:
        """Begin and end of the period in seconds since 1970."""
        period = self.mapping(value, "date-range")
        begin, end = (self._moment(period, f"{which}-datetime") for which in ("start", "end"))
        values.check_period(begin, end, now, self.limits)
        return begin, end

    def policies(self, value: object) -> Iterator[Policy]:
        """The policies with their sessions."""
        entries = self.array(value, "policies", MAX_POLICIES)
        if not entries:
            raise ReportRejected("no_records", "the report contains no policy")
        for entry in entries:
            of = self.mapping(entry, "an entry in policies")
            policy = self.mapping(of.get("policy"), "policy")
            summary = self.mapping(of.get("summary", {}), "summary")
            details = self.array(of.get("failure-details"), "failure-details", MAX_FAILURES)
            yield Policy(
                type=self._policy_type(policy),
                domain=self._domain(policy),
                strings=self.texts(policy.get("policy-string"), "policy-string"),
                mx_hosts=self.texts(policy.get("mx-host"), "mx-host"),
                successful=self.count(summary, "total-successful-session-count"),
                failed=self.count(summary, "total-failure-session-count"),
                failures=tuple(
                    self._failure(self.mapping(detail, "an entry in failure-details"))
                    for detail in details
                ),
            )

    def _failure(self, of: Object) -> FailureDetail:
        self.failures += 1
        if self.failures > MAX_FAILURES:
            raise ReportRejected(
                "too_many_records", f"the report has more than {MAX_FAILURES} failure details"
            )
        result_type = self.text(of, "result-type")
        if not result_type:
            raise ReportRejected("missing_element", "a failure detail has no result-type")
        return FailureDetail(
            result_type=result_type.lower()[: values.MAX_WORD],
            sessions=self.count(of, "failed-session-count"),
            sending_ip=self._address(of, "sending-mta-ip"),
            mx=self.text(of, "receiving-mx-hostname"),
            mx_helo=self.text(of, "receiving-mx-helo"),
            receiving_ip=self._address(of, "receiving-ip"),
            information=self.text(of, "additional-information"),
            reason_code=self.text(of, "failure-reason-code"),
        )

    def _text(self, value: object, key: str) -> str:
        if not isinstance(value, str):
            raise ReportRejected("bad_value", f"{key} is not a string")
        if len(value) > self.limits.field:
            raise ReportRejected(
                "field_too_long", f"{key} is longer than {self.limits.field} characters"
            )
        return values.text(value)

    def _moment(self, of: Object, key: str) -> int:
        text = self.text(of, key) or ""
        try:
            timestamp = datetime.fromisoformat(text.upper() if _MOMENT.fullmatch(text) else "")
        except ValueError:
            raise ReportRejected("bad_dates", f"{key} is not a valid date and time") from None
        if timestamp.tzinfo is None:
            self.warnings.add(f"{key} has no time zone; UTC is assumed")
            timestamp = timestamp.replace(tzinfo=UTC)
        return int(timestamp.timestamp())

    def _policy_type(self, policy: Object) -> str:
        kind = (self.text(policy, "policy-type") or "").lower()
        if not _WORD.fullmatch(kind):
            raise ReportRejected("missing_element", "a policy has no policy-type")
        if kind not in POLICY_TYPES:
            self.warnings.add(f"a policy has the unknown policy-type {kind!r}")
        return kind

    def _domain(self, policy: Object) -> str:
        text = self.text(policy, "policy-domain")
        if not text:
            self.warnings.add("policy-domain is missing")
            return ""
        if not (domain := values.host(text)):
            raise ReportRejected("bad_domain", "policy-domain is not a valid domain name")
        return domain

    def _address(self, of: Object, key: str) -> str | None:
        text = self.text(of, key)
        if text is None:
            return None
        try:
            return values.address(text)
        except ReportRejected:
            self.warnings.add(f"{key} is not an IP address")
            return text


def _loaded(document: bytes, limits: Limits) -> object:
    if sum(map(document.count, (b",", b"[", b"{"))) > limits.json_values:
        raise ReportRejected("too_large", f"the JSON has more than {limits.json_values} values")
    try:
        loaded = json.loads(
            document.decode("utf-8-sig"),
            object_pairs_hook=_object,
            parse_constant=_refuse_constant,
            parse_int=_integer,
        )
    except UnicodeDecodeError:
        raise ReportRejected("encoding", "the JSON is not UTF-8") from None
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at line {error.lineno}, column {error.colno}"
        raise ReportRejected("not_well_formed", detail) from None
    except RecursionError:
        raise ReportRejected("too_deep", "values are nested too deeply") from None
    _check_depth(loaded, limits)
    return loaded


def _check_depth(loaded: object, limits: Limits) -> None:
    level = [loaded]
    for _ in range(limits.json_depth):
        level = [inner for value in level for inner in _values(value)]
    if level:
        raise ReportRejected(
            "too_deep", f"values are nested more than {limits.json_depth} levels deep"
        )


def _values(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> Object:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ReportRejected("repeated_element", "an object has a duplicate name")
    return members


def _refuse_constant(word: str) -> object:
    raise ReportRejected("bad_number", f"{word} is not a JSON number")


def _integer(digits: str) -> int:
    if len(digits) > 20:  # int() takes time that grows with the square
        raise ReportRejected("bad_number", "a number has more than 20 digits")
    return int(digits)
