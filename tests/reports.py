"""Aggregate reports for tests, stored and counted as the intake does it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from app import ids
from app.db import transaction
from app.insight import periods
from app.models import DmarcRecord, DmarcReport, Domain, TlsPolicy, TlsReport
from app.protocols.dmarc_report import DkimResult, Record, SpfResult
from app.services import counting

DAY = timedelta(days=1)
START = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = dict.fromkeys(
    ("sp", "np", "adkim", "aspf", "pct", "fo", "testing", "discovery_method")
) | {"p": "none"}
_numbers = itertools.count(1)


def record(source_ip: str = "192.0.2.1", count: int = 1, **given: Any) -> Record:
    """A record, every default valid: aligned mail of ``acme.test``."""
    values: dict[str, Any] = {
        "disposition": "none", "dkim": True, "spf": True, "header_from": "acme.test",
        "envelope_from": None, "envelope_to": None, "reasons": (),
        "dkim_results": (DkimResult("acme.test", "s1", "pass"),),
        "spf_results": (SpfResult("acme.test", "mfrom", "pass"),),
    }  # fmt: skip
    return Record(source_ip, count, **(values | given))


@dataclass(frozen=True)
class Report:
    """A report with its records."""

    rows: Sequence[Record]
    begin: datetime = START
    length: timedelta = DAY
    reporter: str = "google.com"
    provenance: str = "token"
    policy: Mapping[str, str | None] = field(default_factory=POLICY.copy)
    about: str | None = None

    @property
    def end(self) -> datetime:
        return self.begin + self.length

    @property
    def days(self) -> int:
        return periods.days_of(self.begin, self.end)


def store(domain: Domain, report: Report, *, is_waiting: bool = False) -> UUID:
    """Insert the report and its records, and count them, unless they are to wait for that."""
    stored = DmarcReport(
        id=ids.new(), account_id=domain.account_id, domain_id=domain.id, intake_id=ids.new(),
        policy_domain=report.about or domain.name, reporter=report.reporter,
        report_id=f"r{next(_numbers)}",
        begin_at=report.begin, end_at=report.end, days=report.days, org_name=report.reporter,
        email=f"dmarc@{report.reporter}", policy=dict(report.policy), records=len(report.rows),
        messages=min(sum(row.count for row in report.rows), 2**63 - 1), passed=0,
        provenance=report.provenance, content_digest=b"", received_at=report.end,
    )  # fmt: skip
    middle = periods.middle(report.begin, report.end)
    with transaction() as session:
        session.add(stored)
        session.flush()  # the records refer to it
        session.add_all(
            DmarcRecord(
                report_id=stored.id, position=position, account_id=domain.account_id,
                domain_id=domain.id, at=middle, **_columns(row),
            )
            for position, row in enumerate(report.rows)
        )  # fmt: skip
        noted = {"id": stored.id, "domain_id": domain.id, "records": len(report.rows)}
        counting.later(session, [noted])
    if not is_waiting:
        counting.count_of(domain.id)
    return stored.id


def _columns(row: Record) -> dict[str, Any]:
    return {
        **row._asdict(),
        "reasons": [one._asdict() for one in row.reasons],
        "dkim_results": [one._asdict() for one in row.dkim_results],
        "spf_results": [one._asdict() for one in row.spf_results],
    }


def store_tls(domain: Domain, *policies: tuple[str, int, int], begin: datetime = START) -> None:
    """A TLS report of one day with these policies: type, successful and failed sessions."""
    report = TlsReport(
        id=ids.new(), account_id=domain.account_id, domain_id=domain.id, intake_id=ids.new(),
        policy_domain=domain.name, reporter="google.com", report_id="t1", begin_at=begin,
        end_at=begin + DAY, organization="Google", provenance="token", content_digest=b"",
        received_at=begin + DAY,
    )  # fmt: skip
    failure = {
        "result_type": "certificate-expired", "sessions": sum(failed for *_, failed in policies),
        "sending_ip": None,
        "mx": f"mx.{domain.name}", "mx_helo": None, "receiving_ip": None, "information": None,
        "reason_code": None,
    }  # fmt: skip
    with transaction() as session:
        session.add(report)
        session.flush()  # the policies refer to it
        session.add_all(
            TlsPolicy(
                report_id=report.id, position=position, account_id=domain.account_id,
                domain_id=domain.id, at=begin + DAY / 2, policy_type=kind,
                policy_domain=domain.name, policy_strings=[], mx_hosts=[], successful=successful,
                failed=failed, failures=[failure] if failed else [],
            )
            for position, (kind, successful, failed) in enumerate(policies)
        )  # fmt: skip
