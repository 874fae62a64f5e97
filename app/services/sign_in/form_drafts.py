"""Forms whose session had ended when they were sent, until their user has signed in again.

A draft has what the user entered, without secrets. It is encrypted, belongs to the user, is read
once, and is deleted after ``LIFETIME``.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from uuid import UUID

import orjson
from sqlalchemy import delete, select

from app.db import transactions
from app.db.transactions import transaction
from app.models import StoredFormDraft, User
from app.services.core import encryption

LIFETIME = timedelta(hours=1)
MAX_DRAFTS = 10  # of a user; the oldest are deleted
_PURPOSE = "form-draft"


@dataclass(frozen=True, slots=True)
class FormDraft:
    """What a user entered into a form.

    page    the path and the query of the page with the form
    action  the path that the form was sent to
    fields  (name, value), in the order of the form
    """

    page: str
    action: str
    fields: Sequence[tuple[str, str]]


def keep(user_id: UUID, draft: FormDraft) -> str | None:
    """Store the draft and return its id; None if there is no such user any more."""
    values = [draft.page, draft.action, list(draft.fields)]
    encrypted = encryption.encrypt(orjson.dumps(values).decode(), _PURPOSE)
    id = secrets.token_hex(16)
    with transaction() as session:
        user = select(User.id).where(User.id == user_id, User.disabled_at.is_(None))
        if session.scalar(user.with_for_update()) is None:
            return None
        now = transactions.now(session)
        newest = (
            select(StoredFormDraft.id)
            .where(StoredFormDraft.user_id == user_id, StoredFormDraft.expires_at > now)
            .order_by(StoredFormDraft.expires_at.desc(), StoredFormDraft.id)
            .limit(MAX_DRAFTS - 1)
        )
        retained = session.scalars(newest).all()
        session.execute(
            delete(StoredFormDraft).where(
                StoredFormDraft.user_id == user_id, StoredFormDraft.id.not_in(retained)
            )
        )
        session.add(
            StoredFormDraft(
                id=id, user_id=user_id, text_encrypted=encrypted, expires_at=now + LIFETIME
            )
        )
    return id


def take(user_id: UUID, id: str) -> FormDraft | None:
    """Return the draft of the user and delete it; None if it is unknown, expired or another's."""
    with transaction() as session:
        row = session.scalar(
            select(StoredFormDraft)
            .where(
                StoredFormDraft.id == id,
                StoredFormDraft.user_id == user_id,
                StoredFormDraft.expires_at > transactions.now(session),
            )
            .with_for_update()
        )
        if row is None:
            return None
        session.delete(row)
    try:
        page, action, fields = orjson.loads(encryption.decrypt(row.text_encrypted, _PURPOSE))
    except encryption.DecryptionError:  # the key was replaced within the hour
        return None
    return FormDraft(page, action, [(name, value) for name, value in fields])
