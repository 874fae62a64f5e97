"""Chat channels are of kind ``chat``: their requests are made here, and no longer by Apprise."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _rename("apprise", "chat")


def downgrade() -> None:
    _rename("chat", "apprise")


def _rename(old: str, new: str) -> None:
    with op.batch_alter_table("channels") as batch:
        batch.drop_constraint(op.f("ck_channels_kind"), type_="check")
    op.execute(
        sa.text("UPDATE channels SET kind = :new WHERE kind = :old").bindparams(new=new, old=old)
    )
    with op.batch_alter_table("channels") as batch:
        kinds = f"kind IN ('webhook', 'email', '{new}')"
        batch.create_check_constraint(op.f("ck_channels_kind"), kinds)
