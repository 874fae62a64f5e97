"""The causes of a domain's alerts: what a root cause holds back, and which alerts share a cause."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from app.analysis.scan import root_causes
from app.analysis.scan.root_causes import FindingKey, Kind, Known, RootCause
from app.checks import CHECKS
from app.checks.engine.types import CheckResult
from app.rules.engine.types import AlertDraft, Change, Posture
from app.rules.scans import (
    broken_records,
    certificates,
    dns,
    failed_scans,
    mta_sts,
    profiles,
    score,
)

_ROOT = "root cause"  # the key of alerts that the root cause explains
_FINDINGS_OF_DNS = frozenset(
    kind.code for check in CHECKS if check.name == "dns" for kind in check.finds
)
_FOLLOWS_FROM_MX = frozenset(
    (
        *(kind.code for c in CHECKS if c.name in ("starttls", "dane", "rdns") for kind in c.finds),
        *("mta_sts.policy_mismatch", "mta_sts.mx_cert_invalid_under_enforce"),
        *(score.DROPPED, score.CHANGED),
    )
)
_MAILBOX_OF_REPORTS = frozenset(("dmarc.rua_mailbox_no_mx", "tls_rpt.rua_mailbox_no_mx"))
# Alerts that sum up several checks: the only change of a scan is their cause.
_SUMMARIES = frozenset((score.DROPPED, score.CHANGED, score.LOW, profiles.LOST))
# Alerts whose subject is the name of a changed record, rather than the name and the type.
_ABOUT_A_NAME = frozenset((dns.WEAKENED, dns.STRENGTHENED, broken_records.BROKEN, mta_sts.CHANGED))
_TYPES_OF_TEXT = frozenset(("TXT", "CNAME", "HTTPS"))
_RECORD_TYPE = {Kind.ZONE_LAME: "NS", Kind.MX_UNUSABLE: "MX"}  # the record set that is at fault


def root(
    results: Iterable[CheckResult], last_results: Mapping[str, Mapping[str, Any]]
) -> RootCause | None:
    """Return the root cause of what a scan found; None without one.

    last_results  the last definite result as JSON, by check: it holds while a check is not definite
    """
    now: dict[str, Known] = {
        result.check: (
            result.facts,
            (FindingKey(f.kind.code, f.subject, f.severity) for f in result.findings),
        )
        for result in results
        if result.definite and result.check in root_causes.CHECKS
    }
    return root_causes.of(root_causes.stored(last_results) | now)


def with_root_causes(
    changes: Iterable[Change], before: RootCause | None, now: RootCause | None
) -> list[Change]:
    """Return the changes with the root cause that appeared or was resolved with each of them."""
    return [
        replace(
            change,
            root_appeared=now.kind if now and _explains(now, change) else None,
            root_resolved=before.kind if before and _explains(before, change) else None,
        )
        for change in changes
    ]


def _explains(root_cause: RootCause, change: Change) -> bool:
    """Whether the change is part of the root cause."""
    record_type = _RECORD_TYPE.get(root_cause.kind)
    return record_type is None or change.type == record_type


class ScanCauses:
    """The causes of the alerts of one scan.

    root  the root cause of what the scan found, as ``root`` returns it
    """

    def __init__(self, posture: Posture, root: RootCause | None) -> None:
        self._domain, self._root = posture.domain, root
        self._changes = {
            _key(change): change for change in posture.changes if change.at == posture.now
        }

    @property
    def reason(self) -> str:
        """Why alerts are held back, as the end of "Not evaluated because …"."""
        return self._root.reason if self._root else ""

    def is_root(self, type: str) -> bool:
        """Return whether alerts of this type report the root cause."""
        return self._root is not None and type in self._root.codes

    def holds_back(self, type: str, subject: str) -> bool:
        """Return whether an alert only repeats the root cause, so that it cannot be decided now."""
        if self._root is None or type in self._root.codes or type == failed_scans.FAILED:
            return False
        if self._root.kind is Kind.MX_UNUSABLE:
            return self._follows_from_mx(type, subject)
        if self._root.kind is Kind.DOMAIN_NOT_FOUND:
            return True
        return type not in _FINDINGS_OF_DNS and not subject.endswith(" NS")

    def key(self, draft: AlertDraft) -> str | None:
        """Return a key that alerts with the same cause share; None if it is its own cause."""
        key = self._changed_record(draft)
        change = self._changes.get(key) if key else None
        if self.is_root(draft.type) or (change and self._root and change.root_appeared):
            return _ROOT
        return key

    def _follows_from_mx(self, type: str, subject: str) -> bool:
        return (
            type in _FOLLOWS_FROM_MX
            or (type in _MAILBOX_OF_REPORTS and subject == self._domain)
            or (type == certificates.EXPIRING and subject.startswith("mx "))
        )

    def _changed_record(self, draft: AlertDraft) -> str | None:
        """The one changed record set that the alert is about."""
        if draft.subject in self._changes:
            return draft.subject
        if draft.type in _SUMMARIES:
            matches = list(self._changes.values())
        elif draft.type in _ABOUT_A_NAME:
            matches = [
                change
                for change in self._changes.values()
                if change.name == draft.subject and change.type in _TYPES_OF_TEXT
            ]
        else:
            matches = self._referring(draft)
        return _key(matches[0]) if len(matches) == 1 else None

    def _referring(self, draft: AlertDraft) -> list[Change]:
        """The changes with which the finding appeared, by name if there are several."""
        changes = [c for c in self._changes.values() if draft.type in c.findings_appeared]
        if len(changes) < 2:
            return changes
        names = {draft.subject, draft.fix.name if draft.fix else draft.subject}
        return [change for change in changes if change.name in names]


def _key(change: Change) -> str:
    return f"{change.name} {change.type}"
