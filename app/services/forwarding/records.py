"""The records of entries of the record log, as JSON."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, undefer

from app import ids
from app.models import (
    DmarcRecord,
    DmarcReport,
    Domain,
    Event,
    FailureReport,
    RecordLogEntry,
    Scan,
    TlsPolicy,
    TlsReport,
)
from app.protocols import timestamps
from app.services.core import finding_docs
from app.services.record_log.record_log import EntryKind
from app.services.reports import reports, serialization

Record = dict[str, Any]


class Slice(NamedTuple):
    """The records of an entry from a position in it; ``first`` is the position of the first."""

    first: int
    records: Iterable[Record]


class Request(NamedTuple):
    """The entries of one kind to load, all of one account.

    first  the position of the first record to load in the first entry; loaders may ignore it
    limit  at most this number of records is needed of one entry
    """

    account_id: UUID
    entries: Sequence[RecordLogEntry]
    first: int
    limit: int

    @property
    def row_ids(self) -> list[UUID]:
        """The ids of the rows of the entries."""
        return [entry.row_id for entry in self.entries]


def load(session: Session, request: Request) -> Mapping[UUID, Slice]:
    """Return the records by the id of the entry's row; a row that was deleted is missing."""
    kind = EntryKind(request.entries[0].kind)
    return _LOADERS[kind](session, request)


def _envelope(id: str, kind: str, at: Any, domain: str | None) -> Record:
    """Return the common fields; the stream adds ``cursor`` and ``storedAt``."""
    time = at if isinstance(at, str) else timestamps.text(at)
    return {"id": id, "kind": kind, "at": time, "domain": domain}


def _dmarc(session: Session, request: Request) -> Mapping[UUID, Slice]:
    heads = _heads(session, DmarcReport, request)
    statement = (
        select(*DmarcRecord.__table__.columns)
        .where(
            DmarcRecord.account_id == request.account_id,
            DmarcRecord.report_id.in_(heads),
        )
        .order_by(DmarcRecord.report_id, DmarcRecord.position)
    )
    first = 0
    if len(request.entries) == 1:  # a report may have too many records to load all
        first = request.first
        statement = statement.where(DmarcRecord.position >= first).limit(request.limit)
    rows = session.execute(statement).all()
    return {
        report_id: Slice(first, [_dmarc_record(row, heads[report_id]) for row in group])
        for report_id, group in groupby(rows, lambda row: row.report_id)
    }


def _dmarc_record(row: Any, head: Any) -> Record:
    id = f"{ids.public('dmr', row.report_id)}-{row.position}"
    return {
        **_envelope(id, "dmarc_record", row.at, head.domain_name),
        **serialization.of_report(row),
        "report": {
            **_report(head, "dmr", head.org_name),
            "days": head.days,
            "policy": head.policy,
        },
    }


def _tls(session: Session, request: Request) -> Mapping[UUID, Slice]:
    heads = _heads(session, TlsReport, request)
    policies = session.scalars(
        select(TlsPolicy)
        .where(TlsPolicy.account_id == request.account_id, TlsPolicy.report_id.in_(heads))
        .order_by(TlsPolicy.report_id, TlsPolicy.position)
    )
    return {
        report_id: Slice(0, list(_tls_records(group, heads[report_id])))
        for report_id, group in groupby(policies, lambda policy: policy.report_id)
    }


def _tls_records(policies: Iterable[TlsPolicy], head: Any) -> Iterator[Record]:
    report = _report(head, "tlr", head.organization)
    for policy in policies:
        id = f"{report['id']}-{policy.position}"
        common = {
            "position": policy.position,
            "policyType": policy.policy_type,
            "policyDomain": policy.policy_domain,
        }
        yield {
            **_envelope(id, "tls_policy", policy.at, head.domain_name),
            **common,
            "mxHosts": policy.mx_hosts,
            "successful": policy.successful,
            "failed": policy.failed,
            "report": report,
        }
        for index, failure in enumerate(policy.failures):
            yield {
                **_envelope(f"{id}-{index}", "tls_failure", policy.at, head.domain_name),
                **common,
                **serialization.failure(failure),
                "report": report,
            }


def _failures(session: Session, request: Request) -> Mapping[UUID, Slice]:
    rows = _heads(session, FailureReport, request)
    return {row_id: Slice(0, [_failure(row)]) for row_id, row in rows.items()}


def _failure(row: Any) -> Record:
    at = row.arrived_at or row.received_at
    return {
        **_envelope(ids.public("flr", row.id), "failure_report", at, row.domain_name),
        "reportedDomain": row.reported_domain,
        "reporter": row.reporter,
        "authFailure": row.auth_failure,
        "identityAlignment": row.identity_alignment,
        "deliveryResult": row.delivery_result,
        "sourceIp": row.source_ip,
        "incidents": row.incidents,
        "sender": row.sender,
        "recipient": row.recipient,
        "dkimDomain": row.dkim_domain,
        "dkimSelector": row.dkim_selector,
        "details": row.details,
        "provenance": row.provenance,
        "receivedAt": timestamps.text(row.received_at),
    }


def _scans(session: Session, request: Request) -> Mapping[UUID, Slice]:
    scans = session.scalars(
        select(Scan)
        .where(Scan.account_id == request.account_id, Scan.id.in_(request.row_ids))
        .options(undefer(Scan.result))
    )
    return {scan.id: Slice(0, list(_scan_records(scan))) for scan in scans}


def _scan_records(scan: Scan) -> Iterator[Record]:
    id, at = ids.public("scan", scan.id), scan.finished_at
    checks = scan.result["checks"] if scan.result else ()
    findings = [(check, finding) for check in checks for finding in check["findings"]]
    score = scan.score or {}
    yield {
        **_envelope(id, "scan", at, scan.domain_name),
        "scanId": id,
        "trigger": scan.trigger,
        "score": score.get("value"),
        "grade": score.get("grade"),
        "summary": scan.summary or {},
        "findingCount": len(findings),
    }
    for index, (check, finding) in enumerate(findings):
        yield {
            **_envelope(f"{id}-{index}", "finding", at, scan.domain_name),
            "scanId": id,
            "check": check["check"],
            "verdict": check["verdict"],
            **{name: finding[name] for name in ("code", "severity", "summary", "subject")},
            "evidence": finding["evidence"],
            "docsUrl": finding_docs.docs_url(finding["code"]),
        }


def _alerts(session: Session, request: Request) -> Mapping[UUID, Slice]:
    events = session.scalars(
        select(Event).where(Event.account_id == request.account_id, Event.id.in_(request.row_ids))
    )
    return {event.id: Slice(0, [_alert(event)]) for event in events}


def _alert(event: Event) -> Record:
    data = event.body["data"]
    domain = data["alert"]["domainName"]
    return {
        **_envelope(ids.public("evt", event.id), "alert", event.body["timestamp"], domain),
        "event": event.type,
        "alert": data["alert"],
        "transition": data["transition"],
    }


def _removals(session: Session, request: Request) -> Mapping[UUID, Slice]:
    domain_ids = {entry.domain_id for entry in request.entries}
    rows = session.execute(select(Domain.id, Domain.name).where(Domain.id.in_(domain_ids)))
    names = {row.id: row.name for row in rows}
    return {
        entry.row_id: Slice(0, [_removal(entry, names.get(entry.domain_id))])
        for entry in request.entries
    }


def _removal(entry: RecordLogEntry, domain: str | None) -> Record:
    prefix = _PREFIXES[EntryKind(entry.kind)]
    report_id = ids.public(prefix, entry.row_id)
    return {
        **_envelope(f"{report_id}-removed", "report_removed", entry.at, domain),
        "reportId": report_id,
    }


def _heads(session: Session, table: reports.Table, request: Request) -> Mapping[UUID, Any]:
    """Return the rows of the reports with ``domain_name``, by id."""
    rows = session.execute(
        reports.columns(table).where(
            table.account_id == request.account_id, table.id.in_(request.row_ids)
        )
    )
    return {row.id: row for row in rows}


def _report(head: Any, prefix: str, organization: str) -> Record:
    return {
        "id": ids.public(prefix, head.id),
        "reporter": head.reporter,
        "organization": organization,
        "reportId": head.report_id,
        "policyDomain": head.policy_domain,
        "beginAt": timestamps.text(head.begin_at),
        "endAt": timestamps.text(head.end_at),
        "partial": head.skipped_count > 0,
        "provenance": head.provenance,
        "receivedAt": timestamps.text(head.received_at),
    }


_LOADERS: Mapping[EntryKind, Callable[[Session, Request], Mapping[UUID, Slice]]] = {
    EntryKind.DMARC: _dmarc,
    EntryKind.TLS: _tls,
    EntryKind.FAILURE: _failures,
    EntryKind.SCAN: _scans,
    EntryKind.ALERT: _alerts,
    EntryKind.DMARC_REMOVED: _removals,
    EntryKind.TLS_REMOVED: _removals,
    EntryKind.FAILURE_REMOVED: _removals,
}
_PREFIXES: Mapping[EntryKind, str] = {
    EntryKind.DMARC_REMOVED: "dmr",
    EntryKind.TLS_REMOVED: "tlr",
    EntryKind.FAILURE_REMOVED: "flr",
}
