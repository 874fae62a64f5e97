"""Output of parsedmarc about a report, in each of its formats."""

import csv
import io
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from app.protocols.report_formats import aggregate
from app.protocols.report_formats.aggregate import Record

Object = dict[str, Any]


def human(seconds: int, zone: timedelta = timedelta()) -> str:
    """A time as parsedmarc writes it, on a host that is ``zone`` east of UTC."""
    return (datetime.fromtimestamp(seconds, UTC) + zone).strftime("%Y-%m-%d %H:%M:%S")


def report(xml: bytes, *, zone: timedelta = timedelta(), is_divided: bool = False) -> Object:
    """The object of parsedmarc's JSON.

    zone        of the host of parsedmarc
    is_divided  the messages are divided among the days of the period
    """
    parsed = aggregate.parse(xml, 2**40)
    policy = parsed.policy
    return {
        "xml_schema": parsed.version or "draft",
        "report_metadata": {
            "org_name": parsed.org_name,
            "org_email": parsed.email,
            "org_extra_contact_info": parsed.contact,
            "report_id": parsed.report_id.replace("<", "").replace(">", "").split("@")[0],
            "begin_date": human(parsed.begin, zone),
            "end_date": human(parsed.end, zone),
            "timespan_requires_normalization": is_divided,
            "original_timespan_seconds": parsed.end - parsed.begin,
            "errors": list(parsed.errors),
        },
        "policy_published": {
            "domain": policy.domain,
            "adkim": policy.adkim or "r",
            "aspf": policy.aspf or "r",
            "p": policy.p,
            "sp": policy.sp or policy.p,
            "pct": policy.pct,
            "fo": policy.fo,
        },
        "records": [
            _record(record, begin, end, count, is_divided)
            for record in parsed.records
            for begin, end, count in _parts(parsed.begin, parsed.end, record.count, is_divided)
        ],
    }


def _parts(begin: int, end: int, count: int, is_divided: bool) -> list[tuple[int, int, int]]:
    if not is_divided:
        return [(begin, end, count)]
    middle = (begin + end) // 2
    return [(begin, middle, count // 2), (middle, end, count - count // 2)]


def _record(record: Record, begin: int, end: int, count: int, is_divided: bool) -> Object:
    results = {
        "dkim": [
            {"domain": r.domain, "selector": r.selector or "none", "result": r.result}
            for r in record.dkim_results
        ],
        "spf": [
            {"domain": r.domain, "scope": r.scope or "mfrom", "result": r.result}
            for r in record.spf_results
        ],
    }
    return {
        "source": {"ip_address": record.source_ip, "country": "US", "reverse_dns": None},
        "count": count,
        "alignment": {"spf": record.spf, "dkim": record.dkim, "dmarc": record.spf or record.dkim},
        "policy_evaluated": {
            "disposition": record.disposition,
            "dkim": "pass" if record.dkim else "fail",
            "spf": "pass" if record.spf else "fail",
            "policy_override_reasons": [reason._asdict() for reason in record.reasons],
        },
        "identifiers": {
            "header_from": record.header_from,
            "envelope_from": record.envelope_from,
            "envelope_to": record.envelope_to,
        },
        "auth_results": results,
        "normalized_timespan": is_divided,
        "interval_begin": human(begin),
        "interval_end": human(end),
    }


def elastic(value: Object) -> list[Object]:
    """The documents of a report in Elasticsearch."""
    metadata = value["report_metadata"]
    return [
        {
            "xml_schema": value["xml_schema"],
            **{key: metadata[key] for key in ("org_name", "org_email", "org_extra_contact_info")},
            "report_id": metadata["report_id"],
            "date_range": [_iso(record["interval_begin"]), _iso(record["interval_end"])],
            "date_begin": _iso(record["interval_begin"]),
            "date_end": _iso(record["interval_end"]),
            "normalized_timespan": record["normalized_timespan"],
            "errors": metadata["errors"],
            "published_policy": value["policy_published"],
            "source_ip_address": record["source"]["ip_address"],
            "source_country": "US",
            "message_count": record["count"],
            "disposition": record["policy_evaluated"]["disposition"],
            "dkim_aligned": record["alignment"]["dkim"],
            "spf_aligned": record["alignment"]["spf"],
            **record["identifiers"],
            "policy_overrides": record["policy_evaluated"]["policy_override_reasons"],
            "dkim_results": record["auth_results"]["dkim"],
            "spf_results": record["auth_results"]["spf"],
        }
        for record in value["records"]
    ]


def _iso(time: str) -> str:
    return f"{time.replace(' ', 'T')}+00:00"


def rows(value: Object) -> list[Object]:
    """The rows of parsedmarc's CSV file."""
    return [_row(value, record) for record in value["records"]]


def _row(value: Object, record: Object) -> Object:
    metadata, results = dict(value["report_metadata"]), record["auth_results"]
    reasons = record["policy_evaluated"]["policy_override_reasons"]
    return {
        "xml_schema": value["xml_schema"],
        **{key: metadata[key] for key in ("org_name", "org_email", "org_extra_contact_info")},
        "report_id": metadata["report_id"],
        "begin_date": record["interval_begin"],
        "end_date": record["interval_end"],
        "normalized_timespan": record["normalized_timespan"],
        "errors": "|".join(metadata["errors"]),
        **value["policy_published"],
        "source_ip_address": record["source"]["ip_address"],
        "count": record["count"],
        "spf_aligned": record["alignment"]["spf"],
        "dkim_aligned": record["alignment"]["dkim"],
        "dmarc_aligned": record["alignment"]["dmarc"],
        "disposition": record["policy_evaluated"]["disposition"],
        "policy_override_reasons": ",".join(reason["type"] for reason in reasons),
        "policy_override_comments": "|".join(reason["comment"] or "none" for reason in reasons),
        **record["identifiers"],
        **{
            f"{name}_{key}s": ",".join(str(result[key]) for result in results[name])
            for name, keys in (
                ("dkim", ("domain", "selector", "result")),
                ("spf", ("domain", "scope", "result")),
            )
            for key in keys
        },
    }


def csv_file(*reports: Object) -> bytes:
    """The CSV file with these reports."""
    lines = [row for value in reports for row in rows(value)]
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0].keys())
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode()


def _lines(*values: object) -> bytes:
    return "".join(f"{json.dumps(value)}\n" for value in values).encode()


def _bulk(*reports: Object) -> bytes:
    action: Object = {"index": {}}
    documents = [document for value in reports for document in elastic(value)]
    return b"".join(_lines(action, document) for document in documents)


# Reports in a file of each format; the records of several reports are interleaved by the last.
FORMATS: Mapping[str, Callable[..., bytes]] = {
    "list": lambda *reports: json.dumps(reports, indent=2).encode(),
    "results": lambda *reports: json.dumps({"aggregate_reports": reports}).encode(),
    "lines": _lines,
    "csv": csv_file,
    "bulk": _bulk,
    "search": lambda *reports: json.dumps(
        {
            "took": 1,
            "hits": {"total": 1, "hits": [{"_source": d} for r in reports for d in elastic(r)]},
        }
    ).encode(),
    "sources": lambda *reports: _lines(
        *({"_index": "dmarc", "_source": d} for r in reversed(reports) for d in elastic(r))
    ),
}


def tls_output(document: bytes) -> Object:
    """The object of parsedmarc's JSON about a TLS report."""
    value = json.loads(document)
    return {
        "organization_name": value["organization-name"],
        "begin_date": value["date-range"]["start-datetime"],
        "end_date": value["date-range"]["end-datetime"],
        "contact_info": value["contact-info"],
        "report_id": value["report-id"],
        "policies": [
            {
                "policy_domain": policy["policy"]["policy-domain"],
                "policy_type": policy["policy"]["policy-type"],
                "policy_strings": policy["policy"]["policy-string"],
                "successful_session_count": policy["summary"]["total-successful-session-count"],
                "failed_session_count": policy["summary"]["total-failure-session-count"],
                "failure_details": [
                    {name.replace("-", "_"): detail[name] for name in detail}
                    for detail in policy["failure-details"]
                ],
            }
            for policy in value["policies"]
        ],
    }
