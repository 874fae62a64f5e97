"""The records of an aggregate report, made of the texts that were found in it (RFC 9990 §3.1.1.7).

What many records share is made once, and shared.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from app.protocols.names import MAX_NAME
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Table, Warnings
from app.protocols.report_formats.aggregate.xml import Found, Group
from app.protocols.report_formats.limits import Limits, ReportRejected

MAX_ENVELOPE_FROM = 320
DISPOSITIONS = frozenset(("none", "quarantine", "reject", "pass"))

_new = tuple.__new__  # a NamedTuple's own takes twice as long


class DkimResult(NamedTuple):
    """What came of one DKIM signature; it proves nothing about alignment."""

    domain: str
    selector: str | None
    result: str


class SpfResult(NamedTuple):
    """What came of SPF; it proves nothing about alignment."""

    domain: str
    scope: str | None
    result: str


class Reason(NamedTuple):
    """Why another disposition was applied than the policy asks for."""

    type: str
    comment: str | None


class Record(NamedTuple):
    """So many messages from one address with one result.

    dkim, spf      passed in alignment, as the receiver evaluated it
    envelope_from  "" stands for the null sender, None for not said
    """

    source_ip: str
    count: int  # type: ignore[assignment]  # a tuple's own count is of no use here
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
    """Makes values of texts; what it made it remembers, for most texts come again."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.addresses = Table(values.address)
        self._texts = Table(self._text)
        self._words = Table(self._word)
        self._names = Table(self._name)

    def evaluated(self, fields: Mapping[str, str], reasons: Sequence[Group]) -> Evaluated:
        """What policy_evaluated says.

        raises  KeyError if one of its elements is missing, Refused
        """
        words = self._words
        disposition = words[fields["disposition"]]
        if not disposition:
            raise ReportRejected("missing_element", "a record has no disposition")
        return (
            disposition,
            words[fields["dkim"]] == "pass",
            words[fields["spf"]] == "pass",
            tuple(self._reason(*reason) for reason in reasons if any(reason)) if reasons else (),
        )

    def identifiers(self, fields: Mapping[str, str]) -> Identifiers:
        """Who the messages say that they are from and to.

        raises  KeyError if header_from is missing, Refused
        """
        sender, receiver = fields.get("envelope_from"), fields.get("envelope_to")
        name = self._names[fields["header_from"]]
        if not name:
            raise ReportRejected("missing_element", "a record has no header_from")
        return (
            name,
            None if sender is None else self._texts[sender].lower()[:MAX_ENVELOPE_FROM],
            self._names[receiver] or None if receiver else None,
        )

    def results(self, dkim: Sequence[Group], spf: Sequence[Group]) -> Results:
        """What auth_results says: (domain, selector, result) and (domain, scope, result)."""
        names, texts, words = self._names, self._texts, self._words
        if max(len(dkim), len(spf)) > self.limits.results:
            raise ReportRejected(
                "too_many_results", f"a record has more than {self.limits.results}"
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
                "field_too_long", f"a value has over {self.limits.field} characters"
            )
        return values.text(value)

    def _word(self, value: str) -> str:
        return self._text(value).lower()[: values.MAX_WORD]

    def _name(self, value: str) -> str:
        """The domain, or what stands for it."""
        return values.host(value) or self._text(value).lower()[:MAX_NAME]


@lru_cache(maxsize=1)
def maker(limits: Limits) -> Maker:
    """The process's; reporters write the same about the same domains every day."""
    return Maker(limits)


class Records:
    """The records, in order.

    all  as yet
    """

    def __init__(self, limits: Limits) -> None:
        self.all: list[Record] = []
        self.maker = maker(limits)
        self._limits = limits

    def add(self, found: Found) -> None:
        """Add the record that has been read.

        raises  Refused
        """
        fields, make = found.fields, self.maker
        try:
            evaluated = make.evaluated(fields, found.reasons)
            identifiers = make.identifiers(fields)
            fields["auth_results"]
            source_ip, count = fields["source_ip"], fields["count"]
        except KeyError as missing:
            raise ReportRejected("missing_element", f"a record has no {missing.args[0]}") from None
        number = values.number(count, "count", self._limits)
        results = make.results(found.dkim, found.spf)
        self.append(source_ip, number, evaluated, identifiers, results)

    def append(
        self,
        source_ip: str,
        count: int,
        evaluated: Evaluated,
        identifiers: Identifiers,
        results: Results,
    ) -> None:
        """Add a record of these parts.

        raises  Refused
        """
        if count > self._limits.integer:
            raise ReportRejected("bad_number", f"count is more than {self._limits.integer}")
        if len(self.all) >= self._limits.records:
            raise ReportRejected("too_many_records", f"more than {self._limits.records} records")
        disposition, dkim, spf, reasons = evaluated
        address = self.maker.addresses[source_ip]
        record = (address, count, disposition, dkim, spf, *identifiers, reasons, *results)
        self.all.append(_new(Record, record))

    def warn(self, warnings: Warnings) -> None:
        """Say what was tolerated in them."""
        if not all(record.count for record in self.all):
            warnings.add("a record has a count of 0")
        for disposition in dict.fromkeys(record.disposition for record in self.all):
            if disposition not in DISPOSITIONS:
                warnings.add(f"unknown disposition {disposition}")
        for author in dict.fromkeys(record.header_from for record in self.all):
            if not values.host(author):
                warnings.add(f"header_from is not a domain name: {author[: values.MAX_WORD]}")
