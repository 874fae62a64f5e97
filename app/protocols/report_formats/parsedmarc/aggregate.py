"""Aggregate reports in the shape of parsedmarc's JSON."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from app.protocols.report_formats import moments
from app.protocols.report_formats.aggregate import AggregateReport, assembled
from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.head import Head
from app.protocols.report_formats.aggregate.records import Records
from app.protocols.report_formats.aggregate.xml import Contents, Group
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected
from app.protocols.report_formats.parsedmarc.shapes import POLICY_TAGS, elements, mapping

IMPORTED = "imported"  # a code of ``deviations.WARNINGS``
UNCERTAIN_PERIOD = "imported_period"  # likewise

_METADATA = {
    "org_name": "org_name",
    "email": "org_email",
    "extra_contact_info": "org_extra_contact_info",
    "report_id": "report_id",
    "generator": "generator",
}
_NOTHING = ("", "none", "None")  # what parsedmarc writes for a selector or comment that is missing


def parse(document: bytes, now: int, limits: Limits = LIMITS) -> AggregateReport:
    """The aggregate report in a document of ``documents.read``.

    now     seconds since 1970; a report must not end more than a day in the future
    raises  ReportRejected
    """
    value = mapping(json.loads(document))
    metadata = mapping(value.get("report_metadata"))
    records, entries = Records(limits), elements(value.get("records"))
    records.warnings.add(IMPORTED)
    for contents in _merged(entries, records, limits):
        records.add(contents)
    records.finish()
    head = _head(value, entries, records, limits)
    errors = map(_text, elements(metadata.get("errors")))
    return assembled(head, records, now, errors, _text(value.get("xml_namespace")) or None)


def _head(value: Mapping[str, Any], entries: list[Any], records: Records, limits: Limits) -> Head:
    """The texts outside of the records."""
    metadata = mapping(value.get("report_metadata"))
    policy = mapping(value.get("policy_published"))
    begin, end, is_certain = _period(metadata, entries)
    if not is_certain:
        records.warnings.add(UNCERTAIN_PERIOD)
    texts = {key: _text(metadata.get(name)) for key, name in _METADATA.items()}
    texts |= {key: _text(policy.get(key)) for key in POLICY_TAGS}
    version = _text(value.get("xml_schema"))
    texts |= {"begin": begin, "end": end, "version": "" if version == "draft" else version}
    return Head(texts, limits, records.warnings)


def _period(metadata: Mapping[str, Any], entries: list[Any]) -> tuple[str, str, bool]:
    """Begin and end as seconds since 1970, and whether they are those of the report.

    The dates of the report itself are in the time zone of the host of parsedmarc. The intervals of
    records are in UTC, but each is only a part of the period if the messages were divided by day.
    """
    records = [mapping(entry) for entry in entries]
    begins = [_time(record.get("interval_begin")) for record in records]
    ends = [_time(record.get("interval_end"), is_end=True) for record in records]
    if records and None not in (*begins, *ends):
        is_certain = not any(_is_divided(record) for record in records)
        return str(min(filter(None, begins))), str(max(filter(None, ends))), is_certain
    begin = _time(metadata.get("begin_date"))
    end = _time(metadata.get("end_date"), is_end=True)
    if begin is None or end is None:
        raise ReportRejected("bad_dates", "The imported report has no valid period")
    return str(begin), str(end), False


def _time(value: object, *, is_end: bool = False) -> int | None:
    moment = moments.parse(_text(value), is_end=is_end)
    return moment[0] if moment else None


def _is_divided(record: Mapping[str, Any]) -> bool:
    return record.get("normalized_timespan") is True


def _merged(entries: list[Any], records: Records, limits: Limits) -> Iterator[Contents]:
    """The records; one that was divided by day is one record again."""
    counts: dict[str, int] = {}
    first: dict[str, Contents] = {}
    for entry in entries:
        record = mapping(entry)
        contents = _contents(record, records, limits)
        if not _is_divided(record):
            yield contents
            continue
        key = repr((contents.fields | {"count": ""}, contents.reasons, contents.dkim, contents.spf))
        count = values.count(contents.fields.get("count", ""), limits, records.warnings)
        counts[key] = counts.get(key, 0) + count
        first.setdefault(key, contents)
    for key, contents in first.items():
        contents.fields["count"] = str(counts[key])
        yield contents


def _contents(record: Mapping[str, Any], records: Records, limits: Limits) -> Contents:
    """The texts of a record as they are in the XML of a report."""
    evaluated = mapping(record.get("policy_evaluated"))
    identifiers = mapping(record.get("identifiers"))
    results = mapping(record.get("auth_results"))
    contents = Contents(records.add, limits)
    members = {
        "source_ip": mapping(record.get("source")).get("ip_address"),
        "count": record.get("count"),
        **{key: evaluated.get(key) for key in ("disposition", "dkim", "spf")},
        **{key: identifiers.get(key) for key in ("header_from", "envelope_from", "envelope_to")},
        "auth_results": "",
    }
    contents.fields = {key: _text(value) for key, value in members.items() if value is not None}
    contents.reasons = [
        (_text(reason.get("type")), _word(reason.get("comment")), None)
        for reason in _mappings(evaluated.get("policy_override_reasons"))
    ]
    contents.dkim = [_result(result, "selector") for result in _mappings(results.get("dkim"))]
    contents.spf = [_result(result, "scope") for result in _mappings(results.get("spf"))]
    return contents


def _result(result: Mapping[str, Any], key: str) -> Group:
    return _text(result.get("domain")), _word(result.get(key)), _text(result.get("result"))


def _word(value: object) -> str:
    text = _text(value)
    return "" if text in _NOTHING else text


def _text(value: object) -> str:
    return str(value) if isinstance(value, (str, int)) and not isinstance(value, bool) else ""


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in elements(value) if isinstance(item, dict)]
