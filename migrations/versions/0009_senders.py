"""What people say of sources, and what is known of addresses."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "sender_hosts",
        sa.Column("address", sa.String(length=45), nullable=False),
        sa.Column("status", sa.String(length=10), nullable=False),
        sa.Column("name", sa.String(length=253), nullable=True),
        sa.Column("unseen", sa.String(length=300), nullable=True),
        sa.Column("asn", sa.Integer(), nullable=True),
        sa.Column("network", sa.String(length=300), nullable=True),
        sa.Column("country", sa.String(length=2), nullable=True),
        sa.Column("looked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("lease_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_sender_hosts")),
    )
    with op.batch_alter_table("sender_hosts", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_sender_hosts_due_at"), ["due_at"], unique=False)

    op.create_table(
        "source_states",
        sa.Column("domain_id", sa.Uuid(), nullable=False),
        sa.Column("source", sa.String(length=300), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("note", sa.String(length=1000), nullable=True),
        sa.Column("actor", sa.String(length=300), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "state IN ('approved', 'ignored', 'blocked')", name=op.f("ck_source_states_state")
        ),
        sa.ForeignKeyConstraint(
            ["domain_id"],
            ["domains.id"],
            name=op.f("fk_source_states_domain_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("domain_id", "source", name=op.f("pk_source_states")),
    )


def downgrade() -> None:
    op.drop_table("source_states")
    with op.batch_alter_table("sender_hosts", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_sender_hosts_due_at"))

    op.drop_table("sender_hosts")
