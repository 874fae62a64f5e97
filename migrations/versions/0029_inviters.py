"""Who made an invitation, and whether its link went to the invited address by email."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("invitations") as batch:
        batch.add_column(sa.Column("inviter_id", sa.Uuid(), nullable=True))
        batch.add_column(
            sa.Column("is_emailed", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch.create_foreign_key(
            op.f("fk_invitations_inviter_id"), "users", ["inviter_id"], ["id"], ondelete="CASCADE"
        )
    op.create_index(op.f("ix_invitations_inviter_id"), "invitations", ["inviter_id"], unique=False)
    # An invitation whose inviter is gone stays without one, and can no longer be accepted.
    op.execute(
        "UPDATE invitations SET inviter_id = (SELECT users.id FROM users"
        " WHERE users.email = invitations.invited_by"
        " AND users.account_id = invitations.account_id)"
    )


def downgrade() -> None:
    op.drop_index(op.f("ix_invitations_inviter_id"), table_name="invitations")
    with op.batch_alter_table("invitations") as batch:
        batch.drop_constraint(op.f("fk_invitations_inviter_id"), type_="foreignkey")
        batch.drop_column("is_emailed")
        batch.drop_column("inviter_id")
