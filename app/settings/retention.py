"""The settings of how long data is kept."""

from pydantic import BaseModel

from app.settings.types import (
    PositiveCount,
)


class RetentionSettings(BaseModel):
    """The settings of how long data is kept."""

    parsed_retention_days: PositiveCount = 7
    """Days that the bytes of parsed and duplicate files are stored."""
    raw_retention_days: PositiveCount = 30
    """Days that the bytes of other files are stored; until then they can be reprocessed."""
    junk_retention_days: PositiveCount = 3
    """Days that the bytes of a rejected or unattributed file of an unknown sender are stored.
    Its row is deleted after `RAW_RETENTION_DAYS`.
    """
    failure_report_retention_days: PositiveCount = 30
    """Days that failure reports are stored."""
    report_file_retention_days: PositiveCount = 180
    """Days that the row of a file without a stored report is kept. The row of a file with a
    report is kept as long as the report.
    """
    unchanged_scan_retention_days: PositiveCount = 30
    """Days that all scans are kept. After that, of the scans without a changed record, verdict or
    alert, only the first and the last of each domain are kept. See [Retention](#retention).
    """
    scan_retention_days: PositiveCount = 400
    """Days that the other scans are kept; the last scan of each domain is always kept."""
    dns_change_retention_days: PositiveCount = 1095
    """Days that changes of DNS records are kept."""
    alert_retention_days: PositiveCount = 730
    """Days that resolved alerts are kept, with their history."""
    audit_retention_days: PositiveCount = 400
    """Days that entries of the audit log are kept."""
    key_usage_retention_days: PositiveCount = 400
    """Days that the daily usage of API keys is kept."""
    api_key_retention_days: PositiveCount = 400
    """Days that revoked and expired API keys and report addresses are kept in the lists."""
    event_retention_days: PositiveCount = 90
    """Days that events can be read again from `GET /v1/events`."""
    delivery_retention_days: PositiveCount = 30
    """Days that finished deliveries are kept, and that dead ones can be replayed."""
    report_retention_days: PositiveCount = 730
    """Days after the end of their period that aggregate and TLS reports are kept, with their
    records and their part of the analytics.
    """
