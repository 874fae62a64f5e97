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
from app.protocols.report_formats.limits import Limits, ReportRejected

MAX_ENVELOPE_FROM = 320
DISPOSITIONS = frozenset(("none", "quarantine", "reject", "pass"))

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

        raises  KeyError if one of its elements is missing, ReportRejected
        """
        words = self._words
        disposition = words[fields["disposition"]]
        if not disposition:
            raise ReportRejected("missing_element", "a record has an empty disposition")
        return (
            disposition,
            words[fields["dkim"]] == "pass",
            words[fields["spf"]] == "pass",
            tuple(self._reason(*reason) for reason in reasons if any(reason)) if reasons else (),
        )

    def identifiers(self, fields: Mapping[str, str]) -> Identifiers:
        """The author's domain, the envelope sender and the envelope recipient domain.

        raises  KeyError if header_from is missing, ReportRejected
        """
        sender, receiver = fields.get("envelope_from"), fields.get("envelope_to")
        name = self._names[fields["header_from"]]
        if not name:
            raise ReportRejected("missing_element", "a record has an empty header_from")
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

    def _reason(self, kind: str | None, comment: str | None) -> Reason:
        return Reason(self._words[kind or ""] or "other", self._texts[comment or ""] or None)

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

    all  the records added so far
    """

    def __init__(self, limits: Limits) -> None:
        self.all: list[Record] = []
        self.maker = maker(limits)
        self._limits = limits

    def add(self, texts: Contents) -> None:
        """Add the record that the parser has just completed.

        raises  ReportRejected
        """
        fields, make = texts.fields, self.maker
        try:
            evaluated = make.evaluated(fields, texts.reasons)
            identifiers = make.identifiers(fields)
            fields["auth_results"]
            source_ip, count = fields["source_ip"], fields["count"]
        except KeyError as missing:
            raise ReportRejected(
                "missing_element", f"a record has no {missing.args[0]} element"
            ) from None
        number = values.number(count, "count", self._limits)
        results = make.results(texts.dkim, texts.spf)
        self.append(source_ip, number, evaluated, identifiers, results)

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

    def warn(self, warnings: Warnings) -> None:
        """Add a warning for each deviation that was tolerated in the records."""
        if not all(record.count for record in self.all):
            warnings.add("a record has count 0")
        for disposition in dict.fromkeys(record.disposition for record in self.all):
            if disposition not in DISPOSITIONS:
                warnings.add(f"a record has the unknown disposition {disposition!r}")
        for author in dict.fromkeys(record.header_from for record in self.all):
            if not values.host(author):
                warnings.add(f"header_from is not a domain name: {author[: values.MAX_WORD]}")
