"""Report files that cannot be used have the status ``rejected``.

The alerts on many such files, and the events of these alerts, are renamed as well.

Revision ID: 0039
Revises: 0038
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy import JSON, Uuid, column, select, update

revision, down_revision = "0039", "0038"

FILES = sa.table("report_files", column("status"))
ALERTS = sa.table(
    "alerts",
    column("id", Uuid),
    column("type"),
    column("message"),
    column("evidence", JSON),
)
EVENTS = sa.table("events", column("id", Uuid), column("alert_id", Uuid), column("body", JSON))
ALERT_TYPE = "report.parse_failed_rate"
OLD, NEW = "quarantined", "rejected"
OLD_TEXT, NEW_TEXT = "are quarantined.", "were rejected."  # in the messages of alerts


def upgrade() -> None:
    """Rename the status, and name its constraint after the table and the column."""
    _rename_status(OLD, NEW, "ck_report_files_status")
    _rename_in_alerts({OLD: NEW}, {OLD_TEXT: NEW_TEXT})


def downgrade() -> None:
    """Restore the previous status and the previous name of its constraint."""
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    constraint = "ck_intakes_state" if is_sqlite else "ck_report_files_state"
    _rename_status(NEW, OLD, constraint)
    _rename_in_alerts({NEW: OLD}, {NEW_TEXT: OLD_TEXT})


def _rename_status(old: str, new: str, constraint: str) -> None:
    with op.batch_alter_table("report_files") as batch:
        batch.drop_constraint(op.f(_constraint()), type_="check")
    op.execute(update(FILES).where(FILES.c.status == old).values(status=new))
    with op.batch_alter_table("report_files") as batch:
        statuses = f"'received', 'parsed', 'duplicate', 'conflict', 'unattributed', '{new}'"
        batch.create_check_constraint(op.f(constraint), f"status IN ({statuses})")


def _constraint() -> str:
    """Return the name of the constraint, which depends on the database and its history."""
    constraints = sa.inspect(op.get_bind()).get_check_constraints("report_files")
    (name,) = (item["name"] for item in constraints if "'unattributed'" in item["sqltext"])
    if name is None:
        raise RuntimeError("The check constraint of report_files.status has no name")
    return name


def _rename_in_alerts(keys: dict[str, str], texts: dict[str, str]) -> None:
    """Rename the status in the stored alerts on many such files, and in their events.

    keys   new keys of the evidence by old ones
    texts  new parts of the message by old ones
    """
    bind = op.get_bind()
    is_renamed = ALERTS.c.type == ALERT_TYPE
    for alert in bind.execute(select(ALERTS).where(is_renamed)).all():
        values = _renamed({"message": alert.message, "evidence": alert.evidence}, keys, texts)
        bind.execute(update(ALERTS).where(ALERTS.c.id == alert.id).values(values))
    alert_ids = select(ALERTS.c.id).where(is_renamed)
    for event in bind.execute(select(EVENTS).where(EVENTS.c.alert_id.in_(alert_ids))).all():
        data = event.body["data"]
        data = {**data, "alert": _renamed(data["alert"], keys, texts)}
        body = {**event.body, "data": data}
        bind.execute(update(EVENTS).where(EVENTS.c.id == event.id).values(body=body))


def _renamed(alert: dict[str, Any], keys: dict[str, str], texts: dict[str, str]) -> dict[str, Any]:
    message, evidence = alert["message"], alert["evidence"]
    for old, new in texts.items():
        message = message.replace(old, new)
    observed = {keys.get(key, key): value for key, value in evidence["observed"].items()}
    return {**alert, "message": message, "evidence": {**evidence, "observed": observed}}
