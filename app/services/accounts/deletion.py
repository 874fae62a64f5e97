"""Deletion of accounts: an owner or an operator requests it, and it runs in batches.

The request suspends the account and ends all of its sessions. The clock process deletes the rows
in short transactions.
"""

import logging
from uuid import UUID

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.errors import Conflict, InvalidRequest
from app.models import Account, BrowserSession, Domain
from app.services.accounts import accounts
from app.services.audit import audit_log
from app.services.core import account_rows
from app.services.sign_in import credentials
from app.services.sign_in.sessions import UserSession

logger = logging.getLogger(__name__)


def request_by_owner(user_session: UserSession, name: str, password: str) -> None:
    """Request the deletion of the user's account.

    name     the name of the account, typed to confirm
    raises   InvalidRequest for another name or a wrong password; Conflict if a domain is on hold
    effects  the account is suspended, and all of its sessions end
    """
    if name.strip() != user_session.account_name:
        message = f"Type the account's name, {user_session.account_name}, to confirm"
        raise InvalidRequest.field("name", message)
    credentials.check_password(user_session, password)
    with transaction() as session:
        _request(session, session.get_one(Account, user_session.account_id), user_session.actor)


def delete_now(account: str, *, actor: str) -> None:
    """Delete the account (given by name or id) and all of its rows before this returns.

    raises  NotFound; Conflict if a domain is on hold
    """
    with transaction() as session:
        row = accounts.named(session, account)
        _request(session, row, actor)
    _delete(row.id)


def delete_requested() -> int:
    """Delete the accounts whose deletion was requested, and return their number."""
    with transaction(readonly=True) as session:
        account_ids = session.scalars(
            select(Account.id).where(
                Account.deletion_requested_at.is_not(None),
                ~exists().where(Domain.account_id == Account.id, Domain.legal_hold_at.is_not(None)),
            )
        ).all()
    for account_id in account_ids:
        _delete(account_id)
    return len(account_ids)


def _request(session: Session, account: Account, actor: str) -> None:
    held = session.scalars(
        select(Domain.name)
        .where(Domain.account_id == account.id, Domain.legal_hold_at.is_not(None))
        .order_by(Domain.name)
        .limit(3)
    ).all()
    if held:
        raise Conflict(f"On legal hold: {', '.join(held)}. Release the hold first.")
    account.status = "suspended"
    account.deletion_requested_at = account.deletion_requested_at or now(session)
    session.execute(delete(BrowserSession).where(BrowserSession.account_id == account.id))
    audit_log.record(
        session, account.id, actor=actor, action="account.deletion_requested", target=account.name
    )


def _delete(account_id: UUID) -> None:
    """Delete all rows of the account, starting with the rows that refer to others."""
    for table in reversed(account_rows.tables()):
        condition = account_rows.owned_by(table, account_id)
        if condition is None:
            continue
        for key in table.foreign_keys:
            if key.column.table is table:  # a row of a later batch may refer to it
                with transaction() as session:
                    references = update(table).values({key.parent: None})
                    session.execute(references.where(condition, key.parent.is_not(None)))
        account_rows.delete_all(table, condition)
    with transaction() as session:  # and the rows that workers wrote in the meantime
        session.execute(delete(Account).where(Account.id == account_id))
    logger.warning("account deleted", extra={"account_id": str(account_id)})
