"""What scores were, and when owners' records are looked for again."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("domain_states", schema=None) as batch_op:
        batch_op.add_column(sa.Column("marks", sa.JSON(), server_default="[]", nullable=False))

    with op.batch_alter_table("domains", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("ownership_due_at", sa.DateTime(timezone=True), nullable=True)
        )
        batch_op.add_column(
            sa.Column("ownership_failures", sa.Integer(), server_default="0", nullable=False)
        )
        batch_op.add_column(
            sa.Column("ownership_lost_at", sa.DateTime(timezone=True), nullable=True)
        )


def downgrade() -> None:
    with op.batch_alter_table("domains", schema=None) as batch_op:
        batch_op.drop_column("ownership_lost_at")
        batch_op.drop_column("ownership_failures")
        batch_op.drop_column("ownership_due_at")

    with op.batch_alter_table("domain_states", schema=None) as batch_op:
        batch_op.drop_column("marks")
