"""Types of mailboxes: their options are JSON, and the keys of imported messages are stored.

The encrypted passwords stay as they are: the first poll encrypts them again with the other secrets.

Revision ID: 0045
Revises: 0044
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import column, select, update

revision, down_revision = "0045", "0044"

COLUMNS: tuple[tuple[str, Any], ...] = (
    ("host", sa.String(253)),
    ("port", sa.Integer()),
    ("username", sa.String(320)),
    ("folder", sa.String(200)),
    ("security", sa.String(10)),
    ("ca_certificates", sa.String(20_000)),
    ("done_folder", sa.String(200)),
    ("only_unread", sa.Boolean()),
)
MAILBOXES = sa.table(
    "report_mailboxes",
    *(column("id", sa.Uuid), column("type", sa.String), column("options", sa.JSON)),
    *(column(name, type) for name, type in COLUMNS),
)
UNIQUE = "uq_report_mailboxes_account_id_host_username_folder"


def upgrade() -> None:
    """Move the columns of IMAP mailboxes to their options."""
    with op.batch_alter_table("report_mailboxes") as batch:
        batch.add_column(sa.Column("type", sa.String(20), nullable=False, server_default="imap"))
        batch.add_column(sa.Column("options", sa.JSON(), nullable=True))
        batch.add_column(sa.Column("token_encrypted", sa.Text(), nullable=True))
        batch.alter_column("password", new_column_name="secrets_encrypted", type_=sa.Text())
    for row in op.get_bind().execute(select(MAILBOXES)).mappings().all():
        statement = update(MAILBOXES).where(MAILBOXES.c.id == row["id"])
        op.execute(statement.values(options=_options(row)))
    with op.batch_alter_table("report_mailboxes") as batch:
        batch.drop_constraint(op.f(UNIQUE), type_="unique")
        for name, _ in COLUMNS:
            batch.drop_column(name)
        batch.alter_column("options", nullable=False)
    op.create_index("ix_report_mailboxes_account_id", "report_mailboxes", ["account_id"])
    op.create_table(
        "mailbox_messages",
        sa.Column("mailbox_id", sa.Uuid(), nullable=False),
        sa.Column("key_digest", sa.LargeBinary(32), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["report_mailboxes.id"],
            name=op.f("fk_mailbox_messages_mailbox_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "key_digest", name=op.f("pk_mailbox_messages")),
    )


def _options(row: Any) -> dict[str, Any]:
    skips_read = row["only_unread"] or row["done_folder"] is None
    return {
        "host": row["host"],
        "security": row["security"],
        "port": row["port"],
        "username": row["username"],
        "folder": row["folder"],
        "messages": "unread" if skips_read else "all",
        "done_folder": row["done_folder"] or "",
        "missing_folder": "fail",
        "ca_certificates": row["ca_certificates"] or "",
    }


def downgrade() -> None:
    """Restore the columns; mailboxes of other types are deleted, as nothing could poll them.

    Their secrets have to be entered again, as they were encrypted for another purpose.
    """
    op.drop_table("mailbox_messages")
    op.execute(sa.delete(MAILBOXES).where(MAILBOXES.c.type != "imap"))
    op.drop_index("ix_report_mailboxes_account_id", table_name="report_mailboxes")
    with op.batch_alter_table("report_mailboxes") as batch:
        for name, type in COLUMNS:
            batch.add_column(sa.Column(name, type, nullable=True))
    for row in op.get_bind().execute(select(MAILBOXES)).mappings().all():
        statement = update(MAILBOXES).where(MAILBOXES.c.id == row["id"])
        op.execute(statement.values(**_columns(row["options"])))
    with op.batch_alter_table("report_mailboxes") as batch:
        for name in ("host", "port", "username", "folder"):
            batch.alter_column(name, nullable=False)
        batch.alter_column("security", nullable=False, server_default="tls")
        batch.alter_column("only_unread", nullable=False, server_default=sa.false())
        batch.alter_column("secrets_encrypted", new_column_name="password", type_=sa.String(2000))
        for name in ("type", "options", "token_encrypted"):
            batch.drop_column(name)
        batch.create_unique_constraint(op.f(UNIQUE), ["account_id", "host", "username", "folder"])


def _columns(options: dict[str, Any]) -> dict[str, Any]:
    is_starttls = options["security"] == "starttls"
    return {
        "host": options["host"],
        "port": options["port"] or (143 if is_starttls else 993),
        "username": options["username"],
        "folder": options["folder"],
        "security": options["security"],
        "ca_certificates": options["ca_certificates"] or None,
        "done_folder": options["done_folder"] or None,
        "only_unread": options["messages"] == "unread" and bool(options["done_folder"]),
    }
