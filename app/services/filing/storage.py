"""Filing of parsed reports: the domain that they belong to, duplicates, and their rows.

Only ``_add`` inserts reports and only ``_remove`` deletes them.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, true, update
from sqlalchemy.orm import Session

from app import ids
from app.db import bulk, transactions
from app.models import DmarcReport, Domain, FailureReport, ReportFile
from app.models import TlsReport as StoredTls
from app.models.reports import PROVENANCES
from app.protocols.report_formats.aggregate import AggregateReport
from app.protocols.report_formats.limits import ReportRejected
from app.protocols.report_formats.tls_rpt.tls import TlsReport
from app.services.core import domain_lookup, lifecycle_log
from app.services.core.leases import Lease
from app.services.core.lifecycle_log import Lifecycle
from app.services.filing import comparison, imported_copies, observed_selectors
from app.services.filing import rows as report_rows
from app.services.filing.claims import LEASES
from app.services.filing.comparison import ExistingReport, Relation
from app.services.filing.parsing import PARSER_VERSION, ParsedReport
from app.services.filing.rows import TABLES, Filing, Table
from app.services.ingest import authenticity, budgets
from app.services.ingest import files as ingest_files
from app.services.record_log import record_log
from app.services.rollups import rollup_queue

_PERIOD = ("reporter", "report_id", "begin_at", "end_at")
_KEYS: Mapping[Table, Sequence[str]] = {
    DmarcReport: ("account_id", "policy_domain", *_PERIOD),
    StoredTls: ("account_id", "domain_id", *_PERIOD),
    FailureReport: ("account_id", "content_digest"),
}
_DETAILS = {
    "duplicate": "The same report was already received",
    "conflict": "Another report with the same reporter, id and period is counted",
}
_SUPERSEDED = "The same report arrived again with better proof of its sender, or complete"
_UNCHANGED = "The file could not be read again ({}). The report is unchanged"
_DECIDED = "A user decided to use another report with the same reporter, id and period"
_EVENTS = {
    "parsed": Lifecycle.REPORT_FILE_PARSED,
    "duplicate": Lifecycle.REPORT_FILE_DUPLICATE,
    "conflict": Lifecycle.REPORT_FILE_CONFLICT,
    "unattributed": Lifecycle.REPORT_FILE_UNATTRIBUTED,
    "rejected": Lifecycle.REPORT_FILE_REJECTED,
}

# The lease of a file, and its reports.
Result = tuple[Lease[UUID], Sequence[ParsedReport]]
Owners = Mapping[tuple[UUID, str], Domain]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The final state of a file, or of one report in it."""

    status: str
    reason: str | None = None
    detail: str | None = None
    policy_domain: str | None = None
    report_id: UUID | None = None
    provenance: str = "unverified"


def file_all(session: Session, results: Sequence[Result]) -> None:
    """Store the reports of these files, in the caller's transaction.

    Files that this process no longer holds are left unchanged.
    """
    owners = _owners(session, results)
    is_held = LEASES.is_held([lease for lease, _ in results])
    files = {
        file.id: file
        for file in session.scalars(
            select(ReportFile).where(is_held).order_by(ReportFile.id).with_for_update()
        )
    }
    now = transactions.now(session)
    filings = []
    for lease, reports in results:
        file = files.get(lease.key)
        if file is None:
            continue
        for report in reports:
            entry: ReportFile | None = file
            if report.entry != file.entry:
                entry = ingest_files.add_entry(session, file, report.entry, now)
            if entry is None:
                continue
            filing = _filing(session, entry, report, owners)
            if isinstance(filing, Filing):
                filings.append(filing)
            else:
                _close(session, entry, report, filing, now)
    _insert_all(session, filings, now)


def _owners(session: Session, results: Sequence[Result]) -> Owners:
    """The verified domains that the reports may be filed under, by account and name.

    They are locked, first and in order, as everywhere that rows of a domain change: two workers
    with reports about one domain lock it in the same order.
    """
    report_file_ids = [lease.key for lease, _ in results]
    accounts = select(ReportFile.account_id).where(ReportFile.id.in_(report_file_ids))
    names = {
        name
        for _, reports in results
        for report in reports
        for policy_domain in report.policy_domains
        for name in _parents(policy_domain)
    }
    statement = select(Domain).where(
        Domain.account_id.in_(accounts),
        Domain.name.in_(names),
        *domain_lookup.counts_as_verified(),
    )
    rows = session.scalars(statement.order_by(Domain.id).with_for_update(key_share=True))
    return {(domain.account_id, str(domain.name)): domain for domain in rows}


def _close(
    session: Session, file: ReportFile, report: ParsedReport, outcome: Outcome, now: datetime
) -> None:
    """Write the final state of the file.

    It sends no statement, so that one statement updates all files of a batch.
    """
    if outcome.status in ("rejected", "unattributed") and file.report_id is not None:
        outcome = _unchanged(session, file, outcome)
    file.status, file.reason = outcome.status, outcome.reason
    file.detail = outcome.detail and outcome.detail[:500]
    file.policy_domain, file.report_id = outcome.policy_domain, outcome.report_id
    file.provenance, file.kind = outcome.provenance, report.kind or file.kind
    if report.origin is not None:
        report_rows.set_sender(file, report.origin, is_rejected=outcome.status == "rejected")
    file.parser_version, file.lease_until = PARSER_VERSION, None
    file.finished_at = now
    ingest_files.log(
        session,
        _EVENTS[outcome.status],
        file,
        kind=report.kind,
        reason=outcome.reason,
        report_id=outcome.report_id,
    )


def _unchanged(session: Session, file: ReportFile, outcome: Outcome) -> Outcome:
    """The state of a file that cannot be read again, unless its report was deleted."""
    stored: Any = session.get(TABLES[str(file.kind)], file.report_id)
    if stored is None:
        return outcome
    return Outcome(
        status="parsed" if stored.report_file_id == file.id else "duplicate",
        detail=_UNCHANGED.format(outcome.detail or outcome.reason),
        policy_domain=file.policy_domain,
        report_id=file.report_id,
        provenance=file.provenance,
    )


def _filing(
    session: Session, file: ReportFile, report: ParsedReport, owners: Owners
) -> Filing | Outcome:
    """The report to insert, or the final state of the file if the report cannot be filed."""
    if report.report is None:
        return _rejection(file, report)
    if not report.policy_domains:
        return Outcome(
            status="rejected", reason="bad_domain", detail="The report does not name a domain"
        )
    policy_domain, domain = _owner(file.account_id, report.policy_domains, owners)
    head = report_rows.head(report.report, policy_domain, file.account_id)
    file.reporter = head["reporter"]
    if domain is None:
        return Outcome(
            status="unattributed",
            reason="no_verified_domain",
            detail=f"{policy_domain} isn't a verified domain in this account. "
            "Add and verify the domain or a domain above it",
            policy_domain=policy_domain,
        )
    authenticity.set_author(file, report.author, head, str(domain.name))
    provenance = authenticity.of(file.received_via, report.author, head["reporter"])
    provenance = imported_copies.provenance(provenance) if report.is_imported else provenance
    source = budgets.source_of(file.received_via, file.sender_metadata)
    if provenance == "authenticated" and source is not None:
        budgets.note_authenticated(session, file.account_id, source)
    row = {
        "id": ids.new(),
        "account_id": file.account_id,
        "domain_id": domain.id,
        "report_file_id": file.id,
        "provenance": provenance,
        "content_digest": report.digest,
        "received_at": file.received_at,
        **head,
    }
    return Filing(
        file=file, parsed=report, domain=str(domain.name), policy_domain=policy_domain, row=row
    )


def _rejection(file: ReportFile, report: ParsedReport) -> Outcome:
    """The final state of a file that is rejected, with its domain as far as it is known."""
    rejected = report.rejected or ReportRejected("no_report", "The file contains no report")
    return Outcome(
        status="rejected",
        reason=rejected.reason[:64],
        detail=rejected.detail,
        policy_domain=report.origin.policy_domain if report.origin else file.policy_domain,
    )


def _owner(
    account_id: UUID, policy_domains: Sequence[str], owners: Owners
) -> tuple[str, Domain | None]:
    """The domain that the report is about, and the verified domain at or next above it, if any."""
    for policy_domain in policy_domains:
        for name in _parents(policy_domain):
            if domain := owners.get((account_id, name)):
                return policy_domain, domain
    return policy_domains[0], None


def _parents(name: str) -> list[str]:
    """The name and the names above it, the nearest first, without the TLD."""
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(max(1, len(labels) - 1))]


def _insert_all(session: Session, filings: Sequence[Filing], now: datetime) -> None:
    for group in imported_copies.in_order(filings):
        _insert(session, imported_copies.align(session, group), now)


def _insert(session: Session, filings: Sequence[Filing], now: datetime) -> None:
    """Insert the reports, except those with the key of a stored report that proves as much."""
    added = _add(session, filings)
    for filing in filings:
        if filing.row["id"] in added:
            status, report_id, detail = "parsed", filing.row["id"], None
        else:
            key = {name: filing.row[name] for name in _KEYS[filing.table]}
            existing = comparison.existing(session, filing.table, key)
            status, report_id, filing = _resolve_duplicate(session, filing, existing)
            detail = _DETAILS.get(status)
            if status == "conflict" and filing.table is DmarcReport:
                detail = f"{detail}. {comparison.describe(session, existing.id, filing.row)}"
        outcome = Outcome(
            status=status,
            detail=detail,
            policy_domain=filing.policy_domain,
            report_id=report_id,
            provenance=filing.row["provenance"],
        )
        _close(session, filing.file, filing.parsed, outcome, now)


def _resolve_duplicate(
    session: Session, filing: Filing, existing: ExistingReport
) -> tuple[str, UUID, Filing]:
    """The status of a file with the key of a stored report, and the report that is stored then.

    A report never replaces one with other content, whatever its provenance: a user decides. A
    partial report is replaced by the same report read more completely, if that proves as much, and
    an imported copy by its original.
    """
    is_same_file = existing.report_file_id == filing.file.id
    relation = comparison.relation(session, existing, filing.parsed, is_same_file=is_same_file)
    if not is_same_file and imported_copies.is_copy(filing.row["provenance"], existing.provenance):
        relation = Relation.SAME
    if is_same_file:
        filing = _with_provenance(filing, existing.provenance)
    rank = imported_copies.rank(filing.row["provenance"], existing.provenance)
    if relation is Relation.SAME and rank <= 0:
        return ("parsed" if is_same_file else "duplicate"), existing.id, filing
    is_same = relation is Relation.SAME or (relation is Relation.MORE_COMPLETE and rank >= 0)
    if not is_same and not filing.file.is_preferred:
        is_repeat = relation is Relation.LESS_COMPLETE and rank <= 0
        return ("duplicate" if is_repeat else "conflict"), existing.id, filing
    _remove(session, filing.table, existing.id)
    _add(session, [filing])
    _supersede(session, existing.id, filing.row["id"], is_same=is_same)
    _log(session, Lifecycle.REPORT_REPLACED, filing, replaced_report_id=existing.id)
    return "parsed", filing.row["id"], filing


def _with_provenance(filing: Filing, least: str) -> Filing:
    """The report with at least this provenance: the key of a signature may be gone since."""
    best = max(filing.row["provenance"], least, key=PROVENANCES.index)
    return replace(filing, row={**filing.row, "provenance": best})


def _supersede(session: Session, old: UUID, new: UUID, *, is_same: bool) -> None:
    """Refer the files of the old report to the new one, as duplicates or in conflict."""
    is_counted = ReportFile.status.in_(("parsed",) if is_same else ("parsed", "duplicate"))
    status = "duplicate" if is_same else "conflict"
    detail = _SUPERSEDED if is_same else _DECIDED
    for values, condition in (
        ({"status": status, "detail": detail, "is_preferred": False}, is_counted),
        ({"report_id": new}, true()),
    ):
        session.execute(
            update(ReportFile)
            .where(ReportFile.report_id == old, condition)
            .values(values)
            .execution_options(synchronize_session=False)
        )


def _add(session: Session, filings: Sequence[Filing]) -> Set[UUID]:
    """Insert reports with their records, selectors and rollup queue entries.

    returns  the ids of the inserted reports; the others have the key of a stored report
    """
    session.flush()  # the rows of their files
    added: set[UUID] = set()
    for table in _KEYS:
        if rows := [filing.row for filing in filings if filing.table is table]:
            # With RETURNING, a statement with the values of all rows would be parsed each time.
            connection = session.connection()
            connection.execute(bulk.insert(session, table).on_conflict_do_nothing(), rows)
            is_new = table.id.in_([row["id"] for row in rows])
            added.update(connection.execute(select(table.id).where(is_new)).scalars())
    aggregate, tls, seen = [], [], []
    for filing in filings:
        report = filing.parsed.report
        if filing.row["id"] not in added:
            continue
        _log(session, Lifecycle.REPORT_STORED, filing)
        if filing.parsed.skipped:
            reasons = filing.row["skipped_reasons"]
            _log(session, Lifecycle.REPORT_PARTIAL, filing, skipped_reasons=reasons)
        if isinstance(report, AggregateReport):
            aggregate.append(filing)
            seen.append((filing.row, report, filing.domain))
        elif isinstance(report, TlsReport):
            tls.append(filing)
    record_log.append(session, (report_rows.log_entry(f) for f in filings if f.row["id"] in added))
    report_rows.add_policies(session, tls)
    report_rows.add_records(session, aggregate)
    observed_selectors.observe(session, seen)
    rollup_queue.enqueue(session, [filing.row for filing in aggregate])
    return added


def _log(session: Session, event: Lifecycle, filing: Filing, **fields: Any) -> None:
    lifecycle_log.record(
        session,
        event,
        account_id=filing.row["account_id"],
        domain_id=filing.row["domain_id"],
        report_id=filing.row["id"],
        report_file_id=filing.file.id,
        kind=filing.parsed.kind,
        **fields,
    )


def _remove(session: Session, table: Table, report_id: UUID) -> None:
    """Delete a report with its records and its part in the rollups."""
    if table is DmarcReport:
        rollup_queue.unroll(session, report_id)
    report: Any = session.get_one(table, report_id)
    record_log.append(session, [report_rows.removal_entry(report)])
    session.delete(report)
    session.flush()  # the next statement uses its key
