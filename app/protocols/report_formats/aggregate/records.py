"""The records of an aggregate report, built from its element texts (RFC 9990 §3.1.1.7).

Parts that many records have in common are built once and shared.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from app.protocols.names import MAX_NAME
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Table, Warnings
from app.protocols.report_formats.aggregate.xml import Contents, Group
from app.protocols.report_formats.deviations import SkippedCounter
from app.protocols.report_formats.limits import Limits, ReportRejected

MAX_ENVELOPE_FROM = 320
MAX_DISPOSITION = 16
NOT_REPORTED = "unknown"  # a disposition or result that a record does not have
DISPOSITIONS = frozenset(("none", "quarantine", "reject", "pass", NOT_REPORTED))
# Why a record is skipped; any other reason rejects the report.
SKIPPABLE = frozenset(
    (
        *("bad_number", "bad_source_ip", "bad_value", "field_too_long", "missing_element"),
        *("repeated_element", "too_many_results"),
    )
)
_PROBLEMS = {
    "bad_value": "a record has elements within a value",
    "field_too_long": "a value of a record is too long",
    "repeated_element": "a record has an element more than once, with different values",
    "too_many_results": "a record has too many results",
}

EVALUATED = ("disposition", "dkim", "spf")

_new = tuple.__new__  # the constructor of a NamedTuple takes twice as long


class DkimResult(NamedTuple):
    """The result of one DKIM signature, regardless of alignment."""

    domain: str
    selector: str | None
    result: str


class SpfResult(NamedTuple):
    """The result of SPF, regardless of alignment."""

    domain: str
    scope: str | None
    result: str


class Reason(NamedTuple):
    """Why the receiver applied another disposition than the policy requests."""

    type: str
    comment: str | None


class Record(NamedTuple):
    """The messages from one address with one result.

    dkim, spf      passed in alignment, as the receiver evaluated it
    envelope_from  "" is the null sender, None means not reported
    """

    source_ip: str
    count: int  # type: ignore[assignment]  # shadows tuple.count, which is not used
    disposition: str
    dkim: bool
    spf: bool
    header_from: str
    envelope_from: str | None
    envelope_to: str | None
    reasons: tuple[Reason, ...]
    dkim_results: tuple[DkimResult, ...]
    spf_results: tuple[SpfResult, ...]


Evaluated = tuple[str, bool, bool, tuple[Reason, ...]]
Identifiers = tuple[str, str | None, str | None]
Results = tuple[tuple[DkimResult, ...], tuple[SpfResult, ...]]


class Maker:
    """Builds values from element texts and caches them, because most texts recur."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.addresses = Table(values.address)
        self._texts = Table(self._text)
        self._words = Table(self._word)
        self._names = Table(self._name)

    def evaluated(self, fields: Mapping[str, str], reasons: Sequence[Group]) -> Evaluated:
        """The values of policy_evaluated.

        raises  KeyError if one of its elements is missing or empty, ReportRejected
        """
        words = self._words
        disposition, dkim, spf = (words[fields[key]] for key in EVALUATED)
        if not (disposition and dkim and spf):
            raise KeyError
        return (
            disposition[:MAX_DISPOSITION],
            dkim == "pass",
            spf == "pass",
            tuple(self._reason(*reason) for reason in reasons if any(reason)) if reasons else (),
        )

    def identifiers(self, fields: Mapping[str, str]) -> Identifiers:
        """The author's domain, the envelope sender and the envelope recipient domain.

        raises  KeyError if header_from is missing or empty, ReportRejected
        """
        sender, receiver = fields.get("envelope_from"), fields.get("envelope_to")
        if not (name := self._names[fields["header_from"]]):
            raise KeyError
        return (
            name,
            None if sender is None else self._texts[sender].lower()[:MAX_ENVELOPE_FROM],
            self._names[receiver] or None if receiver else None,
        )

    def results(self, dkim: Sequence[Group], spf: Sequence[Group]) -> Results:
        """The values of auth_results: (domain, selector, result) and (domain, scope, result)."""
        names, texts, words = self._names, self._texts, self._words
        if max(len(dkim), len(spf)) > self.limits.results:
            raise ReportRejected(
                "too_many_results", f"a record has more than {self.limits.results} results"
            )
        dkim_results = [
            DkimResult(names[domain or ""], texts[selector or ""] or None, words[result or ""])
            for domain, selector, result in dkim
        ]
        spf_results = [
            SpfResult(names[domain or ""], words[scope or ""] or None, words[result or ""])
            for domain, scope, result in spf
        ]
        return tuple(dkim_results), tuple(spf_results)

    def _reason(self, kind: str | None, comment: str | None, text: str | None) -> Reason:
        """The reason; some reporters write its type as the text of the element itself."""
        word, remark = self._words[kind or ""], self._texts[comment or ""]
        if text and not word and len(text.split()) == 1:
            word = self._words[text]
        elif text and not remark:
            remark = self._texts[text]
        return Reason(word or "other", remark or None)

    def _text(self, value: str) -> str:
        if len(value) > self.limits.field:
            raise ReportRejected(
                "field_too_long", f"a value is longer than {self.limits.field} characters"
            )
        return values.text(value)

    def _word(self, value: str) -> str:
        return self._text(value).lower()[: values.MAX_WORD]

    def _name(self, value: str) -> str:
        """The normalized domain name, or the text in lower case if it is not one."""
        return values.host(value) or self._text(value).lower()[:MAX_NAME]


@lru_cache(maxsize=1)
def maker(limits: Limits) -> Maker:
    """The shared maker of this process; reports repeat the same values every day."""
    return Maker(limits)


class Records:
    """The records of one report, in order.

    all       the records added so far
    skipped   those that cannot be read
    problem   why the first of these cannot be read, for people
    warnings  deviations of the records
    """

    def __init__(self, limits: Limits) -> None:
        self.all: list[Record] = []
        self.skipped, self.problem = SkippedCounter(), ""
        self.warnings = Warnings()
        self.maker = maker(limits)
        self._limits = limits

    def add(self, texts: Contents) -> None:
        """Add the record that the parser has just completed, or skip it if it cannot be read.

        A record without messages changes nothing, so that its other values may be empty or wrong.

        raises  ReportRejected if the report has too many records
        """
        if is_filler(texts.fields):
            return
        count = None
        try:
            count = values.count(_required(texts, "count"), self._limits, self.warnings)
            if not texts.problem:
                self._add(count, texts)
                return
        except ReportRejected as rejected:
            if rejected.reason not in SKIPPABLE:
                raise
            reason, detail = rejected.reason, rejected.detail
        if texts.problem:
            reason, detail = texts.problem, _PROBLEMS[texts.problem]
        if count != 0:
            self.skip(reason, detail, count)

    def skip(self, reason: str, detail: str, messages: int | None = None) -> None:
        """Skip a record with this number of messages, if known."""
        self.problem = self.problem or detail
        self.skipped.add(reason, messages)

    def _add(self, count: int, texts: Contents) -> None:
        fields, make, warn = texts.fields, self.maker, self.warnings.add
        if not _required(texts, "header_from").strip():
            raise ReportRejected("missing_element", "a record has an empty header_from")
        if (source_ip := _required(texts, "source_ip")) not in make.addresses:
            source_ip = values.decorated_address(source_ip, self.warnings)
        for key in EVALUATED:
            if not fields.get(key, "").strip():
                fields[key] = NOT_REPORTED
                warn("disposition_missing" if key == "disposition" else "result_missing")
        if "auth_results" not in fields:
            warn("auth_results_missing")
        evaluated = make.evaluated(fields, texts.reasons)
        identifiers = make.identifiers(fields)
        results = make.results(texts.dkim, texts.spf)
        self.append(source_ip, count, evaluated, identifiers, results)

    def append(
        self,
        source_ip: str,
        count: int,
        evaluated: Evaluated,
        identifiers: Identifiers,
        results: Results,
    ) -> None:
        """Add a record with these parts.

        raises  ReportRejected
        """
        if count > self._limits.integer:
            raise ReportRejected("bad_number", f"count is larger than {self._limits.integer}")
        if len(self.all) >= self._limits.records:
            raise ReportRejected(
                "too_many_records", f"the report has more than {self._limits.records} records"
            )
        disposition, dkim, spf, reasons = evaluated
        address = self.maker.addresses[source_ip]
        record = (address, count, disposition, dkim, spf, *identifiers, reasons, *results)
        self.all.append(_new(Record, record))

    def finish(self) -> None:
        """Add a warning for each deviation that was tolerated in all records.

        raises  ReportRejected if none of the records can be read
        """
        if (skipped := self.skipped.all()).count:
            if not self.all:
                raise ReportRejected(next(iter(skipped.reasons)), self.problem)
            self.warnings.add("records_skipped")
        if not all(record.count for record in self.all):
            self.warnings.add("count_zero")
        if not {record.disposition for record in self.all} <= DISPOSITIONS:
            self.warnings.add("disposition_unknown")
        if not all(map(values.host, {record.header_from for record in self.all})):
            self.warnings.add("header_from_invalid")


def _required(texts: Contents, key: str) -> str:
    if key not in texts.fields:
        raise ReportRejected("missing_element", f"a record has no {key} element")
    return texts.fields[key]


def is_filler(fields: Mapping[str, str]) -> bool:
    """Whether a record says nothing at all; some reporters send one if there was no mail."""
    text = fields.get
    return not (
        text("count", "").strip()
        or text("source_ip", "").strip()
        or text("header_from", "").strip()
    )
