"""Accounts and the people in them."""

import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app import ids
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Account, User
from app.models.accounts import ROLES
from app.models.keys import Scope
from app.services.accounts import passwords
from app.services.api_keys import api_keys
from app.services.core import audit_log
from app.services.ingest import tokens

# No character that has a meaning of its own in a header: an address is one recipient.
_EMAIL = re.compile(r"[^@\s\x00-\x1f()<>\[\],;:\\\"]{1,64}@[^@\s\x00-\x1f()<>\[\],;:\\\"]{1,189}")


@dataclass(frozen=True, slots=True)
class FirstStart:
    """What the first start made; the password and the key are shown once and kept nowhere.

    ingest_token  the word in the account's addresses for reports
    """

    account: str
    email: str
    password: str
    token: str
    ingest_token: str


def create(name: str, *, actor: str = "system") -> Account:
    """A new account.

    raises  InvalidRequest for a name that is empty or longer than 100; Conflict if there is one
    """
    with transaction() as session:
        return _create(session, name, actor)


def find(name: str) -> Account:
    """The account of this name or id (``acc_…``).

    raises  NotFound
    """
    with transaction(readonly=True) as session:
        return named(session, name)


def named(session: Session, name: str) -> Account:
    """As ``find``, as a step."""
    account_id = ids.parse("acc", name)
    wanted = Account.id == account_id if account_id else Account.name == name.strip()
    account = session.scalar(select(Account).where(wanted))
    if account is None:
        raise NotFound
    return account


def add_user(
    account: str, email: str, *, role: str, password: str | None = None, actor: str = "system"
) -> tuple[User, str]:
    """A new person in the account (named by name or id), and the password, made up if not given.

    raises  NotFound, InvalidRequest, Conflict if the address is taken
    """
    with transaction() as session:
        return add(session, named(session, account), email, role, password, actor)


def set_up(email: str) -> FirstStart | None:
    """The first account, its owner, a key with every scope and an address for reports.

    returns  None if there is an account
    """
    with transaction() as session:
        if session.scalar(select(func.count()).select_from(Account)):
            return None
        account = _create(session, "default", "system")
        _, password = add(session, account, email, "owner", None, "system")
        _, token = api_keys.add(
            session, account.id, api_keys.NewKey("first key", tuple(Scope)), actor="system"
        )
        word = tokens.add(session, account.id, actor="system").token
        return FirstStart(account.name, email, password, token, word)


def validation_errors(email: str, role: str) -> list[dict[str, str]]:
    """What is wrong with them; nothing if there can be such a person."""
    found = []
    if not _EMAIL.fullmatch(email):
        found.append({"field": "email", "code": "invalid", "message": "enter an email address"})
    if role not in ROLES:
        message = f"one of {', '.join(ROLES)}"
        found.append({"field": "role", "code": "invalid", "message": message})
    return found


def suspend(account: str, *, actor: str = "system") -> None:
    """Refuse the account's keys, sign-ins and reports from now on, until ``resume``.

    raises  NotFound
    """
    with transaction() as session:
        row = named(session, account)
        row.status = "suspended"
        audit_log.record(session, row.id, actor=actor, action="account.suspended", target=row.name)


def resume(account: str, *, actor: str = "system") -> None:
    """Undo ``suspend``.

    raises  NotFound; Conflict for an account that is being deleted
    """
    with transaction() as session:
        row = named(session, account)
        if row.deletion_requested_at is not None:
            raise Conflict(f"{row.name} is being deleted")
        row.status = "active"
        audit_log.record(session, row.id, actor=actor, action="account.resumed", target=row.name)


def _create(session: Session, name: str, actor: str) -> Account:
    name = name.strip()
    if not 1 <= len(name) <= 100 or not name.isprintable():
        raise InvalidRequest.field("name", "1 to 100 printable characters", "length")
    if session.scalar(select(Account.id).where(Account.name == name)):
        raise Conflict(f"There is an account named {name}")
    account = Account(name=name, id=ids.new(), created_at=datetime.now(UTC))
    session.add(account)
    session.flush()  # the audit row refers to it
    audit_log.record(session, account.id, actor=actor, action="account.created", target=name)
    return account


def add(
    session: Session, account: Account, email: str, role: str, password: str | None, actor: str
) -> tuple[User, str]:
    """As ``add_user``, as a step."""
    email = email.strip().lower()
    wrong = validation_errors(email, role)
    if password is not None:
        wrong += passwords.validation_errors(password, email)
    if wrong:
        raise InvalidRequest(wrong)
    if session.scalar(select(User.id).where(User.email == email)):
        raise Conflict(f"{email} has a user already")
    password = password or secrets.token_urlsafe(15)
    user = User(
        account_id=account.id, email=email, role=role, password_hash=passwords.digest(password)
    )
    session.add(user)
    audit_log.record(
        session, account.id, actor=actor, action="user.created", target=email, role=role
    )
    return user, password
