"""Call senders that are neither own nor known *unknown*, as in the documentation.

Columns are renamed, and the class in the sender metadata of report files.

Revision ID: 0040
Revises: 0039
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy import JSON, String, cast, column, func, update

revision, down_revision = "0040", "0039"

TABLE = "daily_ingest_usage"
COLUMNS = (
    ("stranger_files", "unknown_source_files"),
    ("stranger_bytes", "unknown_source_bytes"),
)
FILES = sa.table("report_files", column("sender_metadata", JSON))
OLD, NEW = '"sourceClass":"stranger"', '"sourceClass":"unknown"'


def upgrade() -> None:
    """Rename the columns and the class."""
    for old, new in COLUMNS:
        op.execute(f'ALTER TABLE {TABLE} RENAME COLUMN "{old}" TO "{new}"')
    _replace_class(OLD, NEW)


def downgrade() -> None:
    """Restore the previous names."""
    for old, new in COLUMNS:
        op.execute(f'ALTER TABLE {TABLE} RENAME COLUMN "{new}" TO "{old}"')
    _replace_class(NEW, OLD)


def _replace_class(old: str, new: str) -> None:
    """Replace the text: JSON is stored compactly, and values of senders have escaped quotes."""
    text = cast(FILES.c.sender_metadata, sa.Text())
    replaced = cast(func.replace(text, old, new, type_=String()), _json())
    op.execute(update(FILES).where(text.contains(old)).values(sender_metadata=replaced))


def _json() -> sa.types.TypeEngine[object]:
    """Return the type of the column: SQLite stores JSON as text, and its cast makes numbers."""
    return JSON() if op.get_bind().dialect.name == "postgresql" else sa.Text()
