"""The reports of tests/data/reports with their expected results."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.protocols.report_formats import aggregate
from app.protocols.report_formats import failure as report_formats_failure
from app.protocols.report_formats.aggregate import AggregateReport
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.containers.entries import Entry
from app.protocols.report_formats.failure import FailureReport
from app.protocols.report_formats.limits import ReportRejected
from app.protocols.report_formats.tls_rpt import tls
from app.protocols.report_formats.tls_rpt.tls import TlsReport
from tests.support.paths import DATA

REPORTS = DATA / "reports"
NOW = 1_795_600_000  # 2026-11-25

Report = AggregateReport | TlsReport | FailureReport
Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """One file with its expected outcome and the facts of its reports."""

    path: Path
    expect: str
    facts: tuple[Facts, ...]


def cases(folder: str) -> Iterator[Case]:
    """Each file of the folder."""
    expected: Mapping[str, Any] = json.loads(
        (REPORTS / folder / "expected.json").read_text("utf-8")
    )
    for name, what in expected["files"].items():
        facts = [what["facts"]] if what.get("facts") else []
        yield Case(REPORTS / folder / name, what["expect"], (*facts, *what.get("more_reports", ())))


def read(raw: bytes) -> tuple[list[Report], list[ReportRejected]]:
    """The reports in a file, and why others in it are refused."""
    reports: list[Report] = []
    refused: list[ReportRejected] = []
    try:
        members = unwrap.unwrap(raw)
    except ReportRejected as error:
        return [], [error]
    for member in members:
        try:
            reports.append(_parsed(member))
        except ReportRejected as error:
            refused.append(error)
    return reports, refused


def _parsed(member: Entry) -> Report:
    if member.rejected:
        raise member.rejected
    match member.kind:
        case "dmarc":
            return aggregate.parse(member.document, NOW)
        case "tls":
            return tls.parse(member.document, NOW)
        case _:
            return report_formats_failure.parse(member.document, member.original, NOW)


def facts_of(report: Report) -> Facts:
    """The content of the report in the terms of expected.json."""
    if isinstance(report, AggregateReport):
        return _of_dmarc(report)
    return _of_tls(report) if isinstance(report, TlsReport) else _of_failure(report)


def _of_dmarc(report: AggregateReport) -> Facts:
    policy, records = report.policy, report.records
    dispositions: Counter[str] = Counter()
    for record in records:
        dispositions[record.disposition] += record.count
    messages = sum(record.count for record in records)
    dkim = sum(record.count for record in records if record.dkim)
    spf = sum(record.count for record in records if record.spf)
    passed = sum(record.count for record in records if record.dkim or record.spf)
    return {
        "namespace": report.namespace,
        "version": report.version,
        "org_name": report.org_name,
        "email": report.email,
        "report_id": report.report_id,
        "begin": report.begin,
        "end": report.end,
        "generator": report.generator,
        **{
            name: getattr(policy, name)
            for name in (
                *("domain", "p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing"),
                "discovery_method",
            )
        },
        "records": len(records),
        "messages": messages,
        "dkim_aligned_pass": dkim,
        "dkim_aligned_fail": messages - dkim,
        "spf_aligned_pass": spf,
        "spf_aligned_fail": messages - spf,
        "dmarc_pass": passed,
        "dmarc_fail": messages - passed,
        "disposition": dict(dispositions),
        "source_ips": {record.source_ip for record in records},
        "header_froms": {record.header_from for record in records},
    }


def _of_tls(report: TlsReport) -> Facts:
    return {
        "organization": report.organization,
        "report_id": report.report_id,
        "contact": report.contact,
        "start_epoch": report.begin,
        "end_epoch": report.end,
        "policies": [
            {
                "policy_type": policy.type,
                "policy_domain": policy.domain,
                "successful": policy.successful,
                "failed": policy.failed,
                "failure_details": len(policy.failures),
                "failure_types": _by_type(policy),
            }
            for policy in report.policies
        ],
        "total_successful": sum(policy.successful for policy in report.policies),
        "total_failed": sum(policy.failed for policy in report.policies),
    }


def _by_type(policy: tls.Policy) -> dict[str, int]:
    sessions: Counter[str] = Counter()
    for failure in policy.failures:
        sessions[failure.result_type] += failure.sessions
    return dict(sessions)


def _of_failure(report: FailureReport) -> Facts:
    return {
        "feedback_type": report.feedback_type,
        "auth_failure": list(report.auth_failure) or None,
        "reported_domain": report.reported_domain,
        "source_ip": report.source_ip,
        "arrival_date": report.arrival_date,
        "arrival_epoch": report.arrived_at,
        "identity_alignment": ",".join(report.identity_alignment) or None,
        "delivery_result": report.delivery_result,
        "incidents": report.incidents,
        "original_mail_from": report.mail_from,
        "original_subject": report.subject,
    }
