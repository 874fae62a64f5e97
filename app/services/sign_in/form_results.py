"""Results of forms that the next page shows, such as a new API key or the outcome of an import.

1. A form is answered with a redirect, so that reloading a page never repeats the action.
2. The result is stored, encrypted, for the page behind the redirect. It belongs to the session.
3. A secret is deleted when it is read for the first time, and any result after ``LIFETIME``.
4. A form that is submitted twice has one result.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import ColumnElement, delete, select, update

from app.db import transactions
from app.db.bulk import insert
from app.db.transactions import transaction
from app.errors import NotFound
from app.models import FormResult
from app.services.core import encryption
from app.services.sign_in import sessions

LIFETIME = timedelta(minutes=10)
_PURPOSE = "form-result"


@dataclass(frozen=True, slots=True)
class Result:
    """A result; ``values`` is None while the form is processed, and after a secret was shown."""

    kind: str
    values: Mapping[str, Any] | None
    was_shown: bool = False


def begin(token: str, id: str, kind: str) -> bool:
    """Return whether this form of the session is submitted for the first time.

    The caller then ends it with ``finish`` or ``abandon``.
    """
    with transaction() as session:
        at = transactions.now(session)
        session.execute(delete(FormResult).where(*_is(token, id), FormResult.expires_at <= at))
        statement = insert(session, FormResult).values(
            session_id=sessions.id_of(token), id=id, kind=kind, expires_at=at + LIFETIME
        )
        statement = statement.on_conflict_do_nothing().returning(FormResult.id)
        return session.scalar(statement) is not None


def finish(token: str, id: str, values: Mapping[str, Any]) -> None:
    """Store the result, which can be stored as JSON."""
    encrypted = encryption.encrypt(orjson.dumps(values).decode(), _PURPOSE)
    with transaction() as session:
        session.execute(update(FormResult).where(*_is(token, id)).values(text_encrypted=encrypted))


def abandon(token: str, id: str) -> None:
    """Delete the result of a form that was refused, so that it can be submitted again."""
    with transaction() as session:
        session.execute(delete(FormResult).where(*_is(token, id)))


def read(token: str, id: str, *, repeatable: frozenset[str]) -> Result:
    """Return a result of the session.

    repeatable  the kinds that can be read again
    raises      NotFound if it is unknown, expired, or of another session
    effects     a result of another kind is deleted
    """
    with transaction() as session:
        row = session.scalar(
            select(FormResult)
            .where(*_is(token, id), FormResult.expires_at > transactions.now(session))
            .with_for_update()
        )
        if row is None:
            raise NotFound
        if row.text_encrypted is None:
            return Result(row.kind, None, was_shown=row.shown_at is not None)
        values = orjson.loads(encryption.decrypt(row.text_encrypted, _PURPOSE))
        if row.kind not in repeatable:
            row.text_encrypted, row.shown_at = None, transactions.now(session)
        return Result(row.kind, values)


def _is(token: str, id: str) -> tuple[ColumnElement[bool], ...]:
    return FormResult.session_id == sessions.id_of(token), FormResult.id == id
