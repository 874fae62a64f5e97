"""Deletion of everything about a domain, in batches, before the domain itself.

A domain may have millions of records. Deleting them together with the row of the domain would hold
locks for long, so the history is deleted first, one batch per transaction. The caller repeats an
interrupted deletion.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Table, and_, delete, or_, select, tuple_
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.errors import Conflict
from app.models import (
    Alert,
    Base,
    Channel,
    DmarcReport,
    Domain,
    FailureReport,
    RawFile,
    ReportFile,
    TlsReport,
)
from app.models.scans import UNFINISHED
from app.services.core import account_rows

FILES_BATCH_SIZE = 500
# Webhooks are retried for three days, and clients of the feed must see that alerts were resolved.
EVENTS_GRACE = timedelta(days=7)
NO_DOMAIN_LEFT = "The domains that this channel was limited to were deleted"
# Deleted with the domain's row: one row of each, the queue of its jobs, and its alerts, which are
# resolved in the same transaction.
_WITH_DOMAIN = frozenset({"alerts", "domain_states", "report_monitors", "rollup_queue"})


def check_hold(session: Session, domain_id: UUID) -> None:
    """Check that the domain is not on legal hold, in the caller's transaction.

    raises  Conflict
    """
    name = session.scalar(
        select(Domain.name).where(Domain.id == domain_id, Domain.legal_hold_at.is_not(None))
    )
    if name is not None:
        raise Conflict(f"{name} is on legal hold and can't be deleted. Release the hold first.")


def delete_history(domain: Domain) -> None:
    """Delete everything about the domain except the domain itself and its alerts.

    raises  Conflict for a domain on legal hold
    """

    def check(session: Session) -> None:
        check_hold(session, domain.id)

    with transaction(readonly=True) as session:
        check(session)
        old = now(session) - EVENTS_GRACE
    _delete_files(domain)
    events = Base.metadata.tables["events"].c
    alert_ids = select(Alert.id).where(Alert.domain_id == domain.id)
    is_old = and_(events.alert_id.in_(alert_ids), events.at < old)
    account_rows.delete_all(Base.metadata.tables["events"], is_old, check)
    for table in reversed(account_rows.tables()):
        if "domain_id" in table.c and table.name not in _WITH_DOMAIN:
            account_rows.delete_all(table, _history(table, domain.id), check)


def leave_channels(session: Session, domain: Domain) -> None:
    """Remove the domain from the filters of channels, in the caller's transaction.

    effects  a channel that was limited to this domain is disabled, not opened to all domains
    """
    channels = session.scalars(
        select(Channel).where(Channel.account_id == domain.account_id).with_for_update()
    )
    for channel in channels:
        if domain.name not in channel.domains:
            continue
        channel.domains = [name for name in channel.domains if name != domain.name]
        if not channel.domains and channel.disabled_at is None:
            channel.disabled_at, channel.disabled_reason = now(session), NO_DOMAIN_LEFT


def matches(column: Any, name: str) -> ColumnElement[bool]:
    """Return the condition that the column has the name of this domain or of a subdomain."""
    return or_(column == name, column.endswith(f".{name}", autoescape=True))


def _history(table: Table, domain_id: UUID) -> ColumnElement[bool]:
    if table.name == "scans":  # a worker may be writing the unfinished one
        return and_(table.c.domain_id == domain_id, table.c.status.not_in(UNFINISHED))
    return table.c.domain_id == domain_id


def _delete_files(domain: Domain) -> None:
    """Delete the rows and bytes of files with reports about the domain.

    The bytes are also deleted if the file contains reports about other domains. The stored reports
    about those domains stay.
    """
    last: UUID | None = None
    while True:
        with transaction() as session:
            check_hold(session, domain.id)
            condition = _is_of(session, domain)
            if last is not None:
                condition = and_(condition, ReportFile.id > last)
            rows = session.execute(
                select(ReportFile.id, ReportFile.sha256)
                .where(ReportFile.account_id == domain.account_id, condition)
                .order_by(ReportFile.id)
                .limit(FILES_BATCH_SIZE)
            ).all()
            if not rows:
                return
            last = rows[-1].id
            keys = sorted({(domain.account_id, row.sha256) for row in rows})
            session.execute(
                delete(RawFile).where(tuple_(RawFile.account_id, RawFile.sha256).in_(keys))
            )
            session.execute(delete(ReportFile).where(ReportFile.id.in_([row.id for row in rows])))


def _is_of(session: Session, domain: Domain) -> ColumnElement[bool]:
    """The condition that a file has a report about the domain, or the domain in its name.

    Files about a subdomain that the account added as a separate domain are excluded.

    The names of files follow RFC 9990: ``receiver!domain!begin!end``.
    """
    below = session.scalars(
        select(Domain.name).where(
            Domain.account_id == domain.account_id, Domain.name.endswith(f".{domain.name}")
        )
    ).all()
    others = [matches(ReportFile.policy_domain, name) for name in below]
    is_named = and_(
        ReportFile.policy_domain.is_(None),
        ReportFile.file_name.icontains(f"!{domain.name}!", autoescape=True),
    )
    return or_(
        and_(matches(ReportFile.policy_domain, domain.name), ~or_(*others))
        if others
        else matches(ReportFile.policy_domain, domain.name),
        is_named,
        *(ReportFile.report_id.in_(ids) for ids in _report_ids(domain.id)),
    )


def _report_ids(domain_id: UUID) -> Sequence[Any]:
    return [
        select(table.id).where(table.domain_id == domain_id)
        for table in (DmarcReport, TlsReport, FailureReport)
    ]
