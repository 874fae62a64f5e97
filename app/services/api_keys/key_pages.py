"""The pages of API keys and upload tokens in the dashboard."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from uuid import UUID

from app.analysis.api_keys import Activity
from app.db.transactions import now, transaction
from app.errors import NotFound
from app.models import ApiKey, UploadToken
from app.services.api_keys import api_keys, upload_tokens, usage

R = TypeVar("R", ApiKey, UploadToken)


@dataclass(frozen=True, slots=True)
class WithStatus(Generic[R]):
    """An API key or an upload token, and whether it is ``active``, ``revoked`` or ``expired``."""

    row: R
    status: str


@dataclass(frozen=True, slots=True)
class KeyPage:
    """A key with its usage, from one snapshot.

    activity  the usage of the last days, including today
    pair      the keys that it was rotated from or to
    can_rotate  it is active, and has no successor that is not revoked
    """

    key: ApiKey
    status: str
    activity: Activity
    pair: Sequence[ApiKey]
    can_rotate: bool


def keys(account_id: UUID) -> Sequence[WithStatus[ApiKey]]:
    """Return the account's API keys, active ones first, then newest first."""
    with transaction(readonly=True, snapshot=True) as session:
        return _active_first(api_keys.read(session, account_id), now(session))


def tokens(account_id: UUID) -> Sequence[WithStatus[UploadToken]]:
    """Return the account's upload tokens, active ones first, then newest first."""
    with transaction(readonly=True, snapshot=True) as session:
        return _active_first(upload_tokens.read(session, account_id), now(session))


def find(account_id: UUID, key_id: str) -> KeyPage:
    """Return the key with this id, its usage, and the keys of its rotation.

    raises  NotFound
    """
    usage.flush()
    with transaction(readonly=True, snapshot=True) as session:
        rows = api_keys.read(session, account_id)
        key = next((row for row in rows if row.key_id == key_id), None)
        if key is None:
            raise NotFound
        return KeyPage(
            key=key,
            status=key.status(now(session)),
            activity=usage.activity(session, key.id),
            can_rotate=key.is_usable(now(session))
            and not any(row.rotated_from == key.id and not row.revoked_at for row in rows),
            pair=[row for row in rows if key.id == row.rotated_from or row.id == key.rotated_from],
        )


def _active_first(rows: Iterable[R], at: datetime) -> Sequence[WithStatus[R]]:
    listed = [WithStatus(row, row.status(at)) for row in rows]
    return sorted(listed, key=lambda item: item.status != "active")
