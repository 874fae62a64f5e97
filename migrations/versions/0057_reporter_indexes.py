"""Index reports by their reporter, so that a filter of a large account does not read all reports.

Revision ID: 0057
Revises: 0056
"""

from migrations import large_indexes

revision, down_revision = "0057", "0056"

TABLES = ("dmarc_reports", "failure_reports", "tls_reports")
COLUMNS = ["account_id", "reporter", "id"]


def upgrade() -> None:
    for table in TABLES:
        large_indexes.create(f"ix_{table}_reporter", table, COLUMNS)


def downgrade() -> None:
    for table in TABLES:
        large_indexes.drop(f"ix_{table}_reporter", table)
