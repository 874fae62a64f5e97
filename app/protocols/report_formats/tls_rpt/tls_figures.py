"""The figures of a TLS report, by which a repeated report is recognized."""

import hashlib
from collections import Counter
from collections.abc import Sequence

from app.protocols.report_formats.tls_rpt.tls import Policy, TlsReport

_Key = tuple[str | None, ...]


def digest(report: TlsReport) -> bytes:
    """The digest of the period and the sums of the sessions.

    It does not depend on the order of policies and failure details, on how they are divided, or on
    texts such as the contact.
    """
    sessions, failures = sums(report.policies)
    skipped = report.skipped
    figures = (
        *(report.report_id, report.begin, report.end),
        *(sorted(sessions.items()), sorted(failures.items(), key=repr)),
        *(skipped.policies, skipped.sessions, skipped.details, skipped.failed),
    )
    return hashlib.sha256(repr(figures).encode()).digest()


def sums(policies: Sequence[Policy]) -> tuple[Counter[_Key], Counter[_Key]]:
    """The sessions by policy and result, and the failed sessions by policy and failure."""
    sessions, failures = Counter[_Key](), Counter[_Key]()
    for policy in policies:
        sessions[policy.type, policy.domain, "successful"] += policy.successful
        sessions[policy.type, policy.domain, "failed"] += policy.failed
        for detail in policy.failures:
            key = (detail.result_type, detail.sending_ip, detail.mx, detail.receiving_ip)
            failures[policy.type, policy.domain, *key] += detail.sessions
    return sessions, failures
