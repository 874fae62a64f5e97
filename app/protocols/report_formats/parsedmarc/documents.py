"""The documents in the output of parsedmarc, one for each report.

Elasticsearch documents and CSV rows are single records; those of one report become one document.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.protocols.report_formats import file_types
from app.protocols.report_formats.limits import KIB, FileRejected, Limits, ReportRejected
from app.protocols.report_formats.parsedmarc import shapes
from app.protocols.report_formats.parsedmarc.shapes import Object

_BEGINNING = 64 * KIB
_BOM = b"\xef\xbb\xbf"
_CSV = re.compile(rb'"?xml_schema"?,(?:"?xml_namespace"?,)?"?org_name"?,')
_JSON = re.compile(rb"\s{0,1000}[\[{]")
_MEMBERS = re.compile(
    rb'"(?:policy_published|published_policy|report_metadata|organization_name|org_name'
    rb'|aggregate_reports|smtp_tls_reports|arrival_date_utc|parsed_sample)"\s{0,10}:'
)
_PADDING = " \t\r\n,;"


@dataclass(frozen=True, slots=True)
class Document:
    """A report in the shape of parsedmarc's JSON, or a TLS report as in RFC 8460.

    rejected  the reason if it is not supported
    """

    kind: Literal["dmarc", "tls", "failure"]
    content: bytes = b""
    rejected: ReportRejected | None = None


def is_output(content: bytes) -> bool:
    """Whether this is output of parsedmarc, by the names of its members or columns."""
    beginning = content[:_BEGINNING].removeprefix(_BOM)
    if _CSV.match(beginning):
        return True
    return bool(_JSON.match(beginning) and _MEMBERS.search(beginning))


def read(content: bytes, limits: Limits) -> Iterator[Document]:
    """The reports in the output.

    raises  ReportRejected if it is damaged or has too many values
    """
    text = content.removeprefix(_BOM).decode("utf-8", "replace")
    if _CSV.match(text.encode("utf-8", "replace")[:_BEGINNING]):
        values: Iterable[object] = _rows(text)
    else:
        values = _values(text, limits)
    yield from grouped(report for value in values for report in shapes.unpacked(value))


def grouped(values: Iterable[Object]) -> Iterator[Document]:
    """The documents of these reports and records, in the order of the first record of each."""
    reports: dict[object, Object] = {}
    for number, value in enumerate(values):
        if not shapes.is_record(value):
            reports[number] = value
            continue
        report = shapes.report_of(value)
        first = reports.setdefault(key_of(report), report)
        if first is not report:
            first["records"] += report["records"]
    return map(document_of, reports.values())


def key_of(report: Object) -> str:
    """What the records of one report have in common; the days of a divided report differ."""
    metadata, policy = report["report_metadata"], report["policy_published"]
    is_divided = report["records"][0]["normalized_timespan"]
    dates = () if is_divided else (metadata["begin_date"], metadata["end_date"])
    names = (metadata["org_name"], metadata["org_email"], metadata["report_id"], policy["domain"])
    return json.dumps([*names, *dates])


def document_of(value: Object) -> Document:
    """The document of one report."""
    if shapes.is_tls(value):
        return Document("tls", _json(shapes.tls_report(value)))
    if shapes.is_failure(value):
        return Document("failure", rejected=file_types.PARSEDMARC.rejected())
    return Document("dmarc", _json(value))


def _json(value: Object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _rows(text: str) -> Iterator[Object]:
    """The rows of a CSV file."""
    try:
        for row in csv.DictReader(io.StringIO(text, newline="")):
            yield {name: cell for name, cell in row.items() if isinstance(name, str)}
    except csv.Error as error:
        raise ReportRejected("not_well_formed", f"The CSV file is damaged: {error}") from None


def _values(text: str, limits: Limits) -> Iterator[object]:
    """The values of JSON documents one after the other, or of one document."""
    if sum(map(text.count, ",[{")) > limits.json_values:
        raise FileRejected(
            "too_large",
            f"The JSON has more than {limits.json_values} values. Import it with flask ingest",
        )
    decoder = json.JSONDecoder(parse_int=_digits, parse_float=_digits, parse_constant=_digits)
    position = 0
    while (position := _skip(text, position)) < len(text):
        try:
            value, position = decoder.raw_decode(text, position)
        except json.JSONDecodeError as error:
            where = f"line {error.lineno}, column {error.colno}"
            raise ReportRejected(
                "not_well_formed", f"The JSON is damaged or cut off at {where}: {error.msg}"
            ) from None
        except RecursionError:
            raise ReportRejected("too_deep", "The JSON is nested too deeply") from None
        yield value


def _digits(text: str) -> Any:
    """A number: only short ones are converted, because int() takes time that grows with the square.

    The figures are read from texts, and checked then.
    """
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 20 else text


def _skip(text: str, position: int) -> int:
    while position < len(text) and text[position] in _PADDING:
        position += 1
    return position
