"""The kinds of records that are exported and forwarded, with the fields of each.

The field tables of ``docs/exporting.md`` and the records are tested against these.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from app.services.record_log.record_log import EntryKind

COMMON: Mapping[str, str] = {
    "id": "the same whenever the record is exported; unique within the deployment",
    "cursor": "continue after this record with it",
    "kind": "the kind of the record",
    "at": "when it happened, RFC 3339 in UTC; see the kind",
    "storedAt": "when mailwatch stored it",
    "domain": "the monitored domain; null for alerts about the account",
}
_REPORT: Mapping[str, str] = {
    "report.id": "the id of the report in mailwatch",
    "report.reporter": "the domain of the reporter",
    "report.organization": "the name of the reporter",
    "report.reportId": "the reporter's id of the report",
    "report.policyDomain": "the domain that the report is about: `domain` or a subdomain of it",
    "report.beginAt": "the start of its period",
    "report.endAt": "the end of its period",
    "report.partial": "whether a part of the report could not be read",
    "report.provenance": "unverified, imported, token or authenticated",
    "report.receivedAt": "when the file was received",
}


@dataclass(frozen=True, slots=True)
class RecordKind:
    """One kind of records.

    entries      the kinds of the entries of the record log that have such records
    description  what one record is, and what ``at`` means
    fields       the fields in addition to COMMON, by path; ``*`` marks an object of any content
    """

    name: str
    entries: Sequence[EntryKind]
    description: str
    fields: Mapping[str, str]


KINDS: Sequence[RecordKind] = (
    RecordKind(
        name="dmarc_record",
        entries=(EntryKind.DMARC,),
        description="A row of an aggregate report. `at` is the middle of the period of the report.",
        fields={
            "position": "the position of the row in the report, from 0",
            "sourceIp": "the address that sent the messages",
            "count": "the number of messages",
            "result": "pass if DKIM or SPF passed in alignment, or else fail",
            "disposition": "none, quarantine or reject, as the receiver applied it",
            "dkim": "pass or fail, in alignment",
            "spf": "pass or fail, in alignment",
            "headerFrom": "the domain of the From header",
            "envelopeFrom": "the domain of the envelope sender, or null",
            "envelopeTo": "the domain of the recipient, or null",
            "reasons[].type": "why the receiver overrode the policy",
            "reasons[].comment": "its explanation",
            "dkimResults[].domain": "the domain of a DKIM signature",
            "dkimResults[].selector": "its selector, or null",
            "dkimResults[].result": "its raw result",
            "spfResults[].domain": "the domain that SPF checked",
            "spfResults[].scope": "mfrom or helo, or null",
            "spfResults[].result": "its raw result",
            **_REPORT,
            "report.days": "the number of days that the period spans",
            "report.policy.*": "the published policy according to the reporter",
        },
    ),
    RecordKind(
        name="tls_policy",
        entries=(EntryKind.TLS,),
        description="A policy of a TLS report. `at` is the middle of the period of the report.",
        fields={
            "position": "the position of the policy in the report, from 0",
            "policyType": "tlsa, sts, no-policy-found, or another value of the reporter",
            "policyDomain": "the domain of the policy",
            "mxHosts": "the MX hosts of the policy",
            "successful": "the number of successful sessions",
            "failed": "the number of failed sessions",
            **_REPORT,
        },
    ),
    RecordKind(
        name="tls_failure",
        entries=(EntryKind.TLS,),
        description=(
            "Sessions of a TLS report that failed in the same way. `at` is that of its policy."
        ),
        fields={
            "position": "the position of the policy in the report, from 0",
            "policyType": "that of the policy",
            "policyDomain": "that of the policy",
            "resultType": "why the sessions failed, such as certificate-expired",
            "sessions": "the number of failed sessions",
            "sendingIp": "the address of the sending server, or null",
            "mx": "the name of the MX host, or null",
            "mxHelo": "the HELO name of the MX host, or null",
            "receivingIp": "the address of the MX host, or null",
            "information": "further information of the reporter, or null",
            "reasonCode": "the reporter's code of the reason, or null",
            **_REPORT,
        },
    ),
    RecordKind(
        name="failure_report",
        entries=(EntryKind.FAILURE,),
        description="A failure report without private data. `at` is when the message arrived.",
        fields={
            "reportedDomain": "the domain that the report is about",
            "reporter": "the server that reported, or null",
            "authFailure": "what failed, such as dmarc or spf",
            "identityAlignment": "the mechanisms that are not aligned",
            "deliveryResult": "what the receiver did with the message, or null",
            "sourceIp": "the address that sent the message, or null",
            "incidents": "the number of messages",
            "sender": "a hash of the envelope sender with its domain, or null",
            "recipient": "a hash of the recipient with its domain, or null",
            "dkimDomain": "the domain of the DKIM signature, or null",
            "dkimSelector": "its selector, or null",
            "details.*": "further fields of the report",
            "provenance": "unverified, imported, token or authenticated",
            "receivedAt": "when the file was received",
        },
    ),
    RecordKind(
        name="scan",
        entries=(EntryKind.SCAN,),
        description="A completed scan. `at` is when it finished.",
        fields={
            "scanId": "the id of the scan",
            "trigger": "api, schedule, dashboard or cli",
            "score": "0 to 100, or null",
            "grade": "A to F, or null",
            "summary.*": "the number of checks by verdict",
            "findingCount": "the number of its findings, which follow as records",
        },
    ),
    RecordKind(
        name="finding",
        entries=(EntryKind.SCAN,),
        description="A finding of a completed scan. `at` is when the scan finished.",
        fields={
            "scanId": "the id of the scan",
            "check": "the check, such as dmarc",
            "verdict": "the verdict of the check",
            "code": "the code of the finding, such as dmarc.missing",
            "severity": "critical, high, medium, low or info",
            "summary": "what is wrong",
            "subject": "what is affected, mostly the name of a record",
            "evidence.*": "the observations; the fields depend on the code",
            "docsUrl": "the documentation of the finding",
        },
    ),
    RecordKind(
        name="alert",
        entries=(EntryKind.ALERT,),
        description=(
            "An event of an alert, with the alert as it was then. `at` is when it happened."
        ),
        fields={
            "event": "such as alert.opened; see [api/events.md](api/events.md)",
            "alert.*": "the alert, as in [api/alerts.md](api/alerts.md)",
            "transition.*": "the change of its status",
        },
    ),
    RecordKind(
        name="report_removed",
        entries=(EntryKind.DMARC_REMOVED, EntryKind.TLS_REMOVED, EntryKind.FAILURE_REMOVED),
        description=(
            "A report was replaced by a better copy of itself. Its records no longer count. "
            "`at` is when it was replaced."
        ),
        fields={"reportId": "the `report.id` of its records, or the `id` of the failure report"},
    ),
)
NAMES: Sequence[str] = tuple(kind.name for kind in KINDS)


def entry_kinds(names: Collection[str]) -> frozenset[EntryKind]:
    """Return the kinds of entries that have records of these kinds."""
    return frozenset(entry for kind in KINDS if kind.name in names for entry in kind.entries)
