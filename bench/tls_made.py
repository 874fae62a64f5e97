"""A year of TLS reports of the measured domains: one a day of each reporter."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from app import ids
from app.db.bulk import insert_many
from app.db.transactions import transaction
from app.models import TlsPolicy, TlsReport
from bench.reports_made import DAYS, LARGEST, ORDINARY

REPORTERS = {LARGEST: 15, ORDINARY: 5}
KINDS = ("sts", "tlsa", "no-policy-found")
FAILURES = ("certificate-expired", "starttls-not-supported", "validation-failure")


def make(account_id: UUID, domains: Mapping[str, UUID], end: datetime) -> None:
    """Insert the reports, each with two policies, and failures in some of them."""
    reports: list[tuple[Any, ...]] = []
    policies: list[tuple[Any, ...]] = []
    for name, count in REPORTERS.items():
        for day, reporter in itertools.product(range(DAYS), range(count)):
            begin = end - timedelta(days=day + 1)
            id = ids.new()
            reports.append(
                (
                    id,
                    account_id,
                    domains[name],
                    id,
                    name,
                    f"r{reporter}.example",
                    f"t{day}",
                    begin,
                    begin + timedelta(days=1),
                    "x",
                    [],
                    "token",
                    b"",
                    end,
                )
            )
            owner = (account_id, domains[name])
            policies += [(*policy, *owner) for policy in _policies(id, day, begin)]
    with transaction() as session:
        insert_many(session, TlsReport, _REPORT, reports)
        insert_many(session, TlsPolicy, _POLICY, policies)


def _policies(report_id: UUID, day: int, begin: datetime) -> Iterator[tuple[Any, ...]]:
    for position in range(2):
        failed = (day + position) % 4
        failures = [_failure(day, failed)] if failed else []
        kind = KINDS[(day + position) % len(KINDS)]
        at = begin + timedelta(hours=12)
        yield report_id, position, at, kind, "x.test", [], [], 1_000 + day, failed, failures


def _failure(day: int, sessions: int) -> dict[str, Any]:
    return {
        "result_type": FAILURES[day % len(FAILURES)],
        "sessions": sessions,
        "sending_ip": "192.0.2.1",
        "mx": f"mx{day % 5}.example",
        "mx_helo": None,
        "receiving_ip": None,
        "information": None,
        "reason_code": None,
    }


_REPORT = (
    *("id", "account_id", "domain_id", "report_file_id", "policy_domain", "reporter", "report_id"),
    *("begin_at", "end_at", "organization", "warnings", "provenance", "content_digest"),
    "received_at",
)
_POLICY = (
    *("report_id", "position", "at", "policy_type", "policy_domain", "policy_strings", "mx_hosts"),
    *("successful", "failed", "failures", "account_id", "domain_id"),
)
