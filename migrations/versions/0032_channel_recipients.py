"""Recipients of email channels, who confirm before alerts are sent to them.

The recipients of existing channels count as confirmed if they are users of the account. The others
are pending, and the clock process sends them a confirmation email.
"""

import uuid
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0032"
down_revision = "0031"
branch_labels = None
depends_on = None


def upgrade() -> None:
    table = op.create_table(
        "channel_recipients",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", sa.Uuid(), nullable=False),
        sa.Column("channel_id", sa.Uuid(), nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=True),
        sa.Column("requested_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("confirmed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("unsubscribed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint(
            "status IN ('pending', 'confirmed', 'unsubscribed')",
            name=op.f("ck_channel_recipients_status"),
        ),
        sa.ForeignKeyConstraint(
            ["account_id"],
            ["accounts.id"],
            name=op.f("fk_channel_recipients_account_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["channel_id"],
            ["channels.id"],
            name=op.f("fk_channel_recipients_channel_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_channel_recipients")),
        sa.UniqueConstraint(
            "channel_id", "address", name=op.f("uq_channel_recipients_channel_id_address")
        ),
        sa.UniqueConstraint("digest", name=op.f("uq_channel_recipients_digest")),
    )
    op.create_index(op.f("ix_channel_recipients_account_id"), "channel_recipients", ["account_id"])
    with op.batch_alter_table("deliveries") as batch:
        batch.add_column(sa.Column("delivered_to", sa.JSON(), nullable=True))
    _fill(table)


def _fill(table: sa.Table) -> None:
    connection = op.get_bind()
    users = sa.table("users", sa.column("account_id", sa.Uuid()), sa.column("email", sa.String()))
    channels = sa.table(
        "channels",
        sa.column("id", sa.Uuid()),
        sa.column("account_id", sa.Uuid()),
        sa.column("kind", sa.String()),
        sa.column("target", sa.String()),
    )
    now = datetime.now(UTC)
    known = {(row.account_id, row.email.lower()) for row in connection.execute(sa.select(users))}
    query = sa.select(channels).where(channels.c.kind == "email")
    for channel in connection.execute(query).all():
        for address in dict.fromkeys(channel.target.split(",")):
            is_user = (channel.account_id, address.lower()) in known
            connection.execute(
                sa.insert(table).values(
                    id=uuid.uuid4(),
                    account_id=channel.account_id,
                    channel_id=channel.id,
                    address=address,
                    status="confirmed" if is_user else "pending",
                    confirmed_at=now if is_user else None,
                    created_at=now,
                )
            )


def downgrade() -> None:
    with op.batch_alter_table("deliveries") as batch:
        batch.drop_column("delivered_to")
    op.drop_table("channel_recipients")
