"""Name the unique index of report files after their table.

Revision ID: 0035
Revises: 0034
"""

from alembic import op

revision, down_revision = "0035", "0034"

TABLE, COLUMNS = "report_files", ["account_id", "sha256", "entry"]
OLD_INDEX, NEW_INDEX = "uq_intakes_file", "uq_report_files_file"


def upgrade() -> None:
    """Rename the unique index."""
    _rename_index(OLD_INDEX, NEW_INDEX)


def downgrade() -> None:
    """Restore the previous name."""
    _rename_index(NEW_INDEX, OLD_INDEX)


def _rename_index(old: str, new: str) -> None:
    """SQLite cannot rename an index, so it is created again there."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f'ALTER INDEX "{old}" RENAME TO "{new}"')
        return
    op.drop_index(old, TABLE)
    op.create_index(new, TABLE, COLUMNS, unique=True)
