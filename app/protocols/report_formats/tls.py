"""SMTP TLS reports: how often senders reached a domain over TLS, and why not (RFC 8460 §4)."""

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
    """Sessions that failed in one way. Addresses are as usual if they are any, else as written."""

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

    type    tlsa, sts, no-policy-found, or what else the reporter wrote
    domain  the MX host for tlsa, the recipient's domain for the others; "" if it was not said
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
    """One report.

    begin, end  seconds since 1970, UTC
    warnings    what was tolerated in reading it
    """

    organization: str
    contact: str | None
    report_id: str
    begin: int
    end: int
    policies: tuple[Policy, ...]
    warnings: tuple[str, ...]


def parse(document: bytes, now: int, limits: Limits = LIMITS) -> TlsReport:
    """Read a TLS report's JSON.

    now     seconds since 1970; a report cannot end later than a day from now
    raises  Refused
    source  RFC 8460 §4.4 with erratum 6241; RFC 7493 (no name twice, no number that is none)
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
    """Reads values, and notes what is tolerated."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.warnings, self.failures = limits, Warnings(), 0

    def mapping(self, value: object, what: str) -> Object:
        """The object; nothing else will do."""
        if not isinstance(value, dict):
            raise ReportRejected("bad_value", f"{what} is not an object")
        return value

    def array(self, value: object, what: str, most: int) -> list[Any]:
        """The array; null stands for an empty one."""
        if value is None:
            return []
        if not isinstance(value, list):
            raise ReportRejected("bad_value", f"{what} is not an array")
        if len(value) > most:
            raise ReportRejected("too_many_records", f"{what} has more than {most} entries")
        return value

    def text(self, of: Object, key: str) -> str | None:
        """The text on one line, or None if there is none."""
        value = of.get(key)
        if value is None:
            return None
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        return self._text(value, key) or None

    def texts(self, value: object, key: str) -> tuple[str, ...]:
        """An array of texts; a text alone stands for an array of one (erratum 6241)."""
        if isinstance(value, str):
            value = [value] if value else []
        return tuple(self._text(one, key) for one in self.array(value, key, MAX_STRINGS))

    def count(self, of: Object, key: str, *, required: bool = False) -> int:
        """A number of sessions; 0 if it is not said."""
        value = of.get(key)
        if isinstance(value, str) and _COUNT.fullmatch(value):
            self.warnings.add(f"{key} is a string")
            value = int(value)
        if value is None and not required:
            self.warnings.add(f"{key} is missing")
            return 0
        if type(value) is not int or not 0 <= value <= self.limits.integer:
            raise ReportRejected("bad_number", f"{key} is not a number of sessions")
        return value

    def report_id(self, report: Object) -> str:
        """The report's id, without which repeats cannot be told."""
        report_id = self.text(report, "report-id")
        if not report_id:
            raise ReportRejected("missing_element", "the report has no report-id")
        if len(report_id) > self.limits.report_id:
            raise ReportRejected("field_too_long", "report-id is too long")
        return report_id

    def period(self, value: object, now: int) -> tuple[int, int]:
        """Begin and end in seconds since 1970."""
        given = self.mapping(value, "date-range")
        begin, end = (self._moment(given, f"{which}-datetime") for which in ("start", "end"))
        values.check_period(begin, end, now, self.limits)
        return begin, end

    def policies(self, value: object) -> Iterator[Policy]:
        """Each policy with its sessions."""
        entries = self.array(value, "policies", MAX_POLICIES)
        if not entries:
            raise ReportRejected("no_records", "the report has no policy")
        for entry in entries:
            of = self.mapping(entry, "an entry of policies")
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
                failures=tuple(self._failure(self.mapping(one, "a detail")) for one in details),
            )

    def _failure(self, of: Object) -> FailureDetail:
        self.failures += 1
        if self.failures > MAX_FAILURES:
            raise ReportRejected("too_many_records", f"more than {MAX_FAILURES} failure details")
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
            moment = datetime.fromisoformat(text.upper() if _MOMENT.fullmatch(text) else "")
        except ValueError:
            raise ReportRejected("bad_dates", f"{key} is not a date and time") from None
        if moment.tzinfo is None:
            self.warnings.add(f"{key} has no zone; it is taken for UTC")
            moment = moment.replace(tzinfo=UTC)
        return int(moment.timestamp())

    def _policy_type(self, policy: Object) -> str:
        kind = (self.text(policy, "policy-type") or "").lower()
        if not _WORD.fullmatch(kind):
            raise ReportRejected("missing_element", "a policy has no policy-type")
        if kind not in POLICY_TYPES:
            self.warnings.add(f"unknown policy-type {kind}")
        return kind

    def _domain(self, policy: Object) -> str:
        text = self.text(policy, "policy-domain")
        if not text:
            self.warnings.add("policy-domain is missing")
            return ""
        if not (domain := values.host(text)):
            raise ReportRejected("bad_domain", "policy-domain is not a domain name")
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
        detail = f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise ReportRejected("not_well_formed", detail) from None
    except RecursionError:
        raise ReportRejected("too_deep", "values are nested too deep to be read") from None
    _check_depth(loaded, limits)
    return loaded


def _check_depth(loaded: object, limits: Limits) -> None:
    level = [loaded]
    for _ in range(limits.json_depth):
        level = [inner for value in level for inner in _values(value)]
    if level:
        raise ReportRejected("too_deep", f"values are nested more than {limits.json_depth} deep")


def _values(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _object(pairs: list[tuple[str, Any]]) -> Object:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ReportRejected("repeated_element", "an object has a name twice")
    return found


def _refuse_constant(word: str) -> object:
    raise ReportRejected("bad_number", f"{word} is not JSON")


def _integer(digits: str) -> int:
    if len(digits) > 20:  # int() takes time that grows with the square
        raise ReportRejected("bad_number", "a number has more than 20 digits")
    return int(digits)
