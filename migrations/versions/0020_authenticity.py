"""Whether a report that came by mail is from whom it says."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None

_WHERE = sa.text("authenticity IS NOT NULL")


def upgrade() -> None:
    op.add_column("intakes", sa.Column("reporter", sa.String(253)))
    op.add_column("intakes", sa.Column("author", sa.String(253)))
    op.add_column("intakes", sa.Column("authenticity", sa.String(16)))
    op.create_index(
        "ix_intakes_authenticity",
        "intakes",
        ["account_id", "authenticity", "reporter", "finished_at"],
        unique=False,
        sqlite_where=_WHERE,
        postgresql_where=_WHERE,
    )


def downgrade() -> None:
    op.drop_index("ix_intakes_authenticity", table_name="intakes")
    for name in ("authenticity", "author", "reporter"):
        op.drop_column("intakes", name)
