"""The fixes in the last results of a domain, in the formats of DNS tools."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.checks.engine import evidence
from app.checks.engine.proof import HOST_TYPES
from app.protocols import names, record_formats
from app.protocols.record_formats import FormattedChange, RecordSetChange


@dataclass(frozen=True, slots=True)
class FormattedFix:
    """A fix of one finding.

    fix  as stored
    """

    check: str
    code: str
    subject: str
    fix: Mapping[str, Any]
    formats: FormattedChange


def of_results(domain: str, results: Mapping[str, Mapping[str, Any]]) -> Sequence[FormattedFix]:
    """Return all fixes of the last results of a domain, in their order.

    results  the last definite result of each check, as stored
    """
    zone = results.get("dns", {}).get("facts", {}).get("zone") or domain
    return [item for result in results.values() for item in _of_check(zone, result)]


def _of_check(zone: str, result: Mapping[str, Any]) -> Iterator[FormattedFix]:
    for finding in result["findings"]:
        fix = finding["fix"]
        if fix is not None:
            change = _change(zone, fix, result["records"])
            yield FormattedFix(
                check=result["check"],
                code=finding["code"],
                subject=finding["subject"],
                fix=fix,
                formats=record_formats.formatted(change),
            )


def _change(
    zone: str, fix: Mapping[str, Any], records: Sequence[Mapping[str, Any]]
) -> RecordSetChange:
    name, rdtype = fix["name"], fix["type"]
    published = _published(name, rdtype, records)
    removed = _lines(fix["before"], published or ())
    is_whole = published is not None and set(removed) <= set(published)
    if rdtype == "CNAME":  # a name has one alias
        published, is_whole = removed, True
    return RecordSetChange(
        zone=_zone_of(name, zone),
        name=name,
        type=rdtype,
        removed=removed,
        added=_lines(fix["after"], ()) if rdtype != "TXT" else _text(fix["after"]),
        remaining=tuple(value for value in published or () if value not in removed)
        if is_whole
        else None,
    )


def _published(
    name: str, rdtype: str, records: Sequence[Mapping[str, Any]]
) -> tuple[str, ...] | None:
    """The values of the set that the check has read; None if they are not known completely."""
    for record in records:
        if (record["name"], record["type"]) == (name, rdtype):
            values = record["values"]
            if record["rcode"] not in ("NOERROR", "NXDOMAIN"):
                return None
            if any(map(evidence.is_truncated, values)):
                return None
            return tuple(f"{value}." for value in values) if rdtype in HOST_TYPES else tuple(values)
    return None


def _lines(text: str | None, values: Sequence[str]) -> tuple[str, ...]:
    """The records of one side of a fix: several are separated by line breaks."""
    return () if text is None else (text,) if text in values else tuple(text.split("\n"))


def _text(text: str | None) -> tuple[str, ...]:
    return () if text is None else (text,)


def _zone_of(name: str, zone: str) -> str | None:
    """The zone of the domain; None for a name outside it, such as that of a PTR record."""
    return zone if name == zone or names.is_below(name, zone) else None
