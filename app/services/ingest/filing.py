"""Filing of parsed reports: the account they belong to, duplicates, and their rows.

Reports come in and go out here and nowhere else: ``_add`` and ``_remove``.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, true, update
from sqlalchemy.orm import Session

from app import ids, settings
from app.db import bulk, transactions
from app.models import DmarcReport, Domain, FailureReport, ReportFile
from app.models import TlsReport as StoredTls
from app.models.reports import PROVENANCES, RECEIVED
from app.protocols.report_formats.aggregate import AggregateReport
from app.protocols.report_formats.limits import ReportRejected
from app.protocols.report_formats.tls import TlsReport
from app.services.analytics import rollup_queue
from app.services.core.leases import Lease
from app.services.ingest import authenticity, budgets, observed_selectors
from app.services.ingest import rows as ingest_rows
from app.services.ingest.claims import LEASES
from app.services.ingest.parsing import PARSER_VERSION, ParsedReport

Kind = type[DmarcReport] | type[StoredTls] | type[FailureReport]

_TABLES: Mapping[str, Kind] = {"dmarc": DmarcReport, "tls": StoredTls, "failure": FailureReport}
_PERIOD = ("reporter", "report_id", "begin_at", "end_at")
_KEYS: Mapping[Kind, Sequence[str]] = {
    DmarcReport: ("account_id", "policy_domain", *_PERIOD),
    StoredTls: ("account_id", "domain_id", *_PERIOD),
    FailureReport: ("account_id", "content_digest"),
}


# The lease of a file, and its reports.
Result = tuple[Lease[UUID], Sequence[ParsedReport]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a file, or one report of it, ends."""

    status: str
    reason: str | None = None
    detail: str | None = None
    policy_domain: str | None = None
    report_id: UUID | None = None
    provenance: str = "unverified"


@dataclass(frozen=True, slots=True)
class Filing:
    """A report on its way into the tables.

    domain  the verified one that it is filed under
    about   the one that it is about: that, or one below it
    row     the columns of the report itself
    """

    file: ReportFile
    parsed: ParsedReport
    domain: str
    policy_domain: str
    row: Mapping[str, Any]

    @property
    def table(self) -> Kind:
        """Where it goes."""
        return _TABLES[str(self.parsed.kind)]


@dataclass(frozen=True, slots=True)
class ExistingReport:
    """The report that has the key of another."""

    id: UUID
    report_file_id: UUID
    content_digest: bytes
    provenance: str


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
            entry = file if report.entry == file.entry else _child_entry(session, file, report, now)
            if entry is None:
                continue
            filing = _filing(session, entry, report, owners)
            if isinstance(filing, Filing):
                filings.append(filing)
            else:
                _close(entry, report, filing, now)
    _insert_all(session, filings, now)


def _owners(session: Session, results: Sequence[Result]) -> Mapping[tuple[UUID, str], Domain]:
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
    statement = select(Domain).where(Domain.account_id.in_(accounts), Domain.name.in_(names))
    if settings.current().domain_verification != "off":
        statement = statement.where(Domain.verified_at.is_not(None))
    rows = session.scalars(statement.order_by(Domain.id).with_for_update(key_share=True))
    return {(domain.account_id, str(domain.name)): domain for domain in rows}


def _child_entry(
    session: Session, report_file: ReportFile, found: ParsedReport, now: datetime
) -> ReportFile | None:
    """The row of one more report of the file; None if it has one from an earlier time."""
    row = {
        "id": ids.new(),
        "account_id": report_file.account_id,
        "received_via": report_file.received_via,
        "sha256": report_file.sha256,
        "size_bytes": report_file.size_bytes,
        "file_name": report_file.file_name,
        "entry": found.entry,
        "received_at": report_file.received_at,
        "sender_metadata": report_file.sender_metadata,
        "status": RECEIVED,
        "provenance": "unverified",
        "attempt": 1,
        "enqueued_at": now,
    }
    insert = bulk.insert(session, ReportFile).on_conflict_do_nothing().returning(ReportFile)
    return session.scalars(insert, [row]).first()


def _close(report_file: ReportFile, found: ParsedReport, end: Outcome, now: datetime) -> None:
    report_file.status, report_file.reason, report_file.policy_domain = (
        end.status,
        end.reason,
        end.policy_domain,
    )
    report_file.detail = end.detail and end.detail[:500]
    report_file.report_id, report_file.provenance, report_file.kind = (
        end.report_id,
        end.provenance,
        found.kind,
    )
    report_file.parser_version, report_file.finished_at, report_file.lease_until = (
        PARSER_VERSION,
        now,
        None,
    )


def _filing(
    session: Session,
    report_file: ReportFile,
    found: ParsedReport,
    owners: Mapping[tuple[UUID, str], Domain],
) -> Filing | Outcome:
    """The report as it is to be filed, or how it ends as it cannot be."""
    if found.report is None:
        refused = found.rejected or ReportRejected("no_report", "There is no report in it")
        return Outcome("quarantined", refused.reason[:64], refused.detail)
    if not found.policy_domains:
        return Outcome("quarantined", "bad_domain", "The report is about no domain")
    about, domain = _owner(report_file.account_id, found.policy_domains, owners)
    if domain is None:
        detail = f"The account has not verified {about}, nor a domain above it"
        return Outcome("unattributed", "no_verified_domain", detail, about)
    head = ingest_rows.head(found.report, about, report_file.account_id)
    _note_author(report_file, found, head, str(domain.name))
    worth = authenticity.of(report_file.received_via, found.author, head["reporter"])
    source = budgets.source_of(report_file.received_via, report_file.sender_metadata)
    if worth == "authenticated" and source is not None:
        budgets.note_authenticated(session, report_file.account_id, source)
    row = {
        "id": ids.new(),
        "account_id": report_file.account_id,
        "domain_id": domain.id,
        "report_file_id": report_file.id,
        "provenance": worth,
        "content_digest": found.digest,
        "received_at": report_file.received_at,
        **head,
    }
    return Filing(report_file, found, str(domain.name), about, row)


def _note_author(
    report_file: ReportFile, found: ParsedReport, head: Mapping[str, Any], own: str
) -> None:
    """Whether a report that arrived by mail comes from the reporter that it names."""
    if report_file.received_via not in authenticity.MAIL_WAYS:
        return
    report_file.author = found.author.domain if found.author else None
    report_file.reporter = head["reporter"]
    organization = head.get("org_name", head.get("organization"))
    report_file.authenticity = authenticity.authenticity(
        found.author, report_file.reporter, organization, own
    )


def _owner(
    account_id: UUID, abouts: Sequence[str], owners: Mapping[tuple[UUID, str], Domain]
) -> tuple[str, Domain | None]:
    """What the report is about, and the nearest verified domain that this belongs to, if any."""
    for about in abouts:
        for name in _parents(about):
            if domain := owners.get((account_id, name)):
                return about, domain
    return abouts[0], None


def _parents(name: str) -> list[str]:
    """The name and those above it, the nearest first; no TLD."""
    labels = name.split(".")
    return [".".join(labels[i:]) for i in range(max(1, len(labels) - 1))]


_DETAILS = {
    "duplicate": "The same report is there already",
    "conflict": "Another report with the same reporter, id and period is counted",
}


_DECIDED = "A user decided to use another report with the same reporter, id and period"


def _insert_all(session: Session, filings: Sequence[Filing], now: datetime) -> None:
    """Insert the reports, unless one with the same key is there and is worth as much."""
    added = _add(session, filings)
    for filing in filings:
        if filing.row["id"] in added:
            state, report_id = "parsed", filing.row["id"]
        else:
            state, report_id = _resolve_duplicate(session, filing, _existing(session, filing))
        detail, provenance = _DETAILS.get(state), filing.row["provenance"]
        end = Outcome(state, None, detail, filing.policy_domain, report_id, provenance)
        _close(filing.file, filing.parsed, end, now)


def _resolve_duplicate(
    session: Session, filing: Filing, standing: ExistingReport
) -> tuple[str, UUID]:
    """How the file ends whose key another report has, and the report that is there then.

    A report never takes the place of one with other content, whatever it is worth: a user decides.
    """
    is_same = standing.content_digest == filing.parsed.digest
    new, old = filing.row["provenance"], standing.provenance
    if is_same and PROVENANCES.index(new) <= PROVENANCES.index(old):
        is_again = standing.report_file_id == filing.file.id
        return ("parsed" if is_again else "duplicate"), standing.id
    if not is_same and not filing.file.is_preferred:
        return "conflict", standing.id
    _remove(session, filing.table, standing.id)
    _add(session, [filing])
    _supersede(session, standing.id, filing.row["id"], is_same=is_same)
    return "parsed", filing.row["id"]


def _existing(session: Session, filing: Filing) -> ExistingReport:
    """The report with the same key; it waits for a transaction that is writing it."""
    table, row = filing.table, filing.row
    found = session.execute(
        select(table.id, table.report_file_id, table.content_digest, table.provenance)
        .where(*(getattr(table, name) == row[name] for name in _KEYS[table]))
        .with_for_update()
    ).one()
    return ExistingReport(*found)


def _supersede(session: Session, old: UUID, new: UUID, *, is_same: bool) -> None:
    """The files of the old report belong to the new one: as duplicates of it, or in conflict."""
    counted = ReportFile.status.in_(("parsed",) if is_same else ("parsed", "duplicate"))
    state = "duplicate" if is_same else "conflict"
    detail = "The same report arrived again in a way that proves more" if is_same else _DECIDED
    for values, files in (
        ({"status": state, "detail": detail, "is_preferred": False}, counted),
        ({"report_id": new}, true()),
    ):
        session.execute(
            update(ReportFile)
            .where(ReportFile.report_id == old, files)
            .values(values)
            .execution_options(synchronize_session=False)
        )


def _add(session: Session, filings: Sequence[Filing]) -> Set[UUID]:
    """Insert reports with all that hangs on them: the one place where records come in.

    returns  the ids of those that are there now; of the others there is one with the same key
    """
    session.flush()  # their rows of the report files
    added: set[UUID] = set()
    for table in _KEYS:
        if rows := [filing.row for filing in filings if filing.table is table]:
            insert = bulk.insert(session, table).on_conflict_do_nothing()
            found = session.connection().execute(insert.returning(table.id), rows)
            added.update(found.scalars())
    aggregate, tls = [], []
    for filing in filings:
        report = filing.parsed.report
        if filing.row["id"] not in added:
            continue
        if isinstance(report, AggregateReport):
            aggregate.append((filing.row, report, filing.domain))
        elif isinstance(report, TlsReport):
            tls.append((filing.row, report))
    ingest_rows.add_policies(session, tls)
    ingest_rows.add_records(session, ((row, report) for row, report, _ in aggregate))
    observed_selectors.observe(session, aggregate)
    rollup_queue.enqueue(session, [row for row, *_ in aggregate])
    return added


def _remove(session: Session, table: Kind, report_id: UUID) -> None:
    """Delete a report with all that hangs on it: the one place where records go out."""
    if table is DmarcReport:
        rollup_queue.unroll(session, report_id)
    session.delete(session.get_one(table, report_id))
    session.flush()  # the next statement takes its key
