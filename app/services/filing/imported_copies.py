"""Reports that were imported from another product, and the originals that they are copies of.

The product shortened report ids at an ``@`` and wrote times of its own time zone, so the key of a
copy may differ from that of its original. Before reports are inserted, ``align`` gives both the key
of the original. The original then counts, whatever its figures, unless its sender is unknown.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from app.models import DmarcReport, TlsReport
from app.models.reports import IMPORTED, PROVENANCES
from app.protocols.report_formats.parsedmarc.aggregate import UNCERTAIN_PERIOD
from app.services.filing.rows import Filing

_ZONES = timedelta(hours=14)  # the largest difference of a time zone from UTC
_QUERY_PERIOD = timedelta(days=7)
_NAMES = ("reporter", "report_id", "begin_at", "end_at")
_UNKNOWN_SENDER = "unverified"


def provenance(of_file: str) -> str:
    """Return the provenance of a copy in a file with this provenance; signatures prove nothing."""
    return IMPORTED if of_file == "token" else _UNKNOWN_SENDER


def is_copy(first: str, second: str) -> bool:
    """Return whether one of two reports with one key is a copy of the other, by provenance."""
    provenances = {first, second}
    return IMPORTED in provenances and len(provenances - {_UNKNOWN_SENDER}) == 2


def rank(provenance: str, stored: str) -> int:
    """Return how much more a report proves than a stored one; a copy proves less than any other."""
    difference = PROVENANCES.index(provenance) - PROVENANCES.index(stored)
    return min(difference, 0) if provenance == IMPORTED else difference


def in_order(filings: Sequence[Filing]) -> Iterator[Sequence[Filing]]:
    """Yield the reports in groups to insert one after the other: the originals, then the copies."""
    if originals := [filing for filing in filings if filing.row["provenance"] != IMPORTED]:
        yield originals
    if copies := [filing for filing in filings if filing.row["provenance"] == IMPORTED]:
        yield copies


def align(session: Session, filings: Sequence[Filing]) -> Sequence[Filing]:
    """Return the reports with the keys under which they are to be inserted.

    effects  a stored copy gets the key of its original
    """
    if filings and filings[0].row["provenance"] == IMPORTED:
        return _as_stored(session, filings)
    for table in (DmarcReport, TlsReport):
        rows = [filing.row for filing in filings if filing.table is table]
        for copy in _stored(session, table, rows, is_imported=True) if rows else ():
            original = next((row for row in rows if _is_same(table, copy, row)), None)
            if original and _key(copy) != _key(original):
                _set_key(session, table, copy, original)
    return filings


def _as_stored(session: Session, filings: Sequence[Filing]) -> Sequence[Filing]:
    """The copies with the keys of the reports that they are copies of, where there are any.

    That may be an earlier one of these copies, which has the key of its original by then.
    """
    known: dict[Any, list[Mapping[str, Any]]] = {}
    for table in (DmarcReport, TlsReport):
        rows = [filing.row for filing in filings if filing.table is table]
        for period in _periods(rows):
            for row in _stored(session, table, period, is_imported=False):
                known.setdefault(_group(table, row), []).append(row)
    aligned = []
    for filing in filings:
        if filing.table in (DmarcReport, TlsReport):
            reports = known.setdefault(_group(filing.table, filing.row), [])
            same = next((row for row in reports if _is_same(filing.table, filing.row, row)), None)
            if same is not None:
                key = {name: same[name] for name in _NAMES}
                filing = replace(filing, row={**filing.row, **key})
            reports.append(filing.row)
        aligned.append(filing)
    return aligned


def _periods(rows: Sequence[Any]) -> Iterator[Sequence[Any]]:
    """Yield the reports in groups of a few days, so that a query finds few others."""
    group: list[Any] = []
    for row in sorted(rows, key=lambda row: row["begin_at"]):
        if group and row["begin_at"] - group[0]["begin_at"] > _QUERY_PERIOD:
            yield group
            group = []
        group.append(row)
    if group:
        yield group


def _group(table: Any, row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is equal for a report and a copy of it."""
    if table is TlsReport:
        return (table, row["account_id"], row["domain_id"], row["report_id"])
    names = ("account_id", "policy_domain", "reporter")
    return (table, *(row[name] for name in names), _shortened(row["report_id"]))


def _stored(
    session: Session, table: Any, rows: Sequence[Any], *, is_imported: bool
) -> Sequence[Mapping[str, Any]]:
    """The stored reports that may be the same as one of these reports."""
    domain = table.policy_domain if table is DmarcReport else table.domain_id
    name = table.reporter if table is DmarcReport else table.report_id
    columns = [table.id, *(getattr(table, key) for key in (*_NAMES, "warnings", "account_id"))]
    columns += [domain, table.organization] if table is TlsReport else [domain]
    conditions = [
        table.account_id.in_({row["account_id"] for row in rows}),
        domain.in_({row[domain.key] for row in rows}),
        name.in_({row[name.key] for row in rows}),
        table.begin_at <= max(row["end_at"] for row in rows) + _ZONES,
        table.end_at >= min(row["begin_at"] for row in rows) - _ZONES,
    ]
    if is_imported:
        conditions.append(table.provenance == IMPORTED)
    statement = select(*columns).where(*conditions).order_by(table.id)
    return [{str(key): row[key] for key in row} for row in session.execute(statement).mappings()]


def _is_same(table: Any, first: Mapping[str, Any], second: Mapping[str, Any]) -> bool:
    """Whether the first report is a copy of the second; each is to be inserted or is stored."""
    if table is TlsReport:
        names = ("account_id", "domain_id", "report_id", "begin_at", "end_at")
        is_named_alike = any(first[name] == second[name] for name in ("reporter", "organization"))
        return is_named_alike and all(first[name] == second[name] for name in names)
    if any(first[name] != second[name] for name in ("account_id", "policy_domain", "reporter")):
        return False
    if _shortened(first["report_id"]) != _shortened(second["report_id"]):
        return False
    if UNCERTAIN_PERIOD not in first["warnings"]:
        return bool(first["begin_at"] == second["begin_at"] and first["end_at"] == second["end_at"])
    return bool(
        second["begin_at"] - _ZONES <= first["begin_at"]
        and first["end_at"] <= second["end_at"] + _ZONES
    )


def _shortened(report_id: str) -> str:
    """The report id as parsedmarc writes it."""
    return report_id.replace("<", "").replace(">", "").split("@")[0]


def _set_key(
    session: Session, table: Any, copy: Mapping[str, Any], original: Mapping[str, Any]
) -> None:
    values = {name: original[name] for name in _NAMES}
    names = (*_NAMES, "account_id", "policy_domain" if table is DmarcReport else "domain_id")
    is_taken = exists().where(*(getattr(table, name) == original[name] for name in names))
    if session.scalar(select(is_taken)):
        return
    session.execute(
        update(table)
        .where(table.id == copy["id"])
        .values(values)
        .execution_options(synchronize_session=False)
    )


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in _NAMES)
