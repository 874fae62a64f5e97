"""The page of an API key in the dashboard."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.analysis.api_keys import Activity
from app.errors import NotFound
from app.models import ApiKey
from app.services.api_keys import api_keys, usage


@dataclass(frozen=True, slots=True)
class KeyPage:
    """A key with its usage.

    activity  the usage of the last days, including today
    pair      the keys that it was rotated from or to
    """

    key: ApiKey
    activity: Activity
    pair: Sequence[ApiKey]


def find(account_id: UUID, key_id: str) -> KeyPage:
    """Return the key with this id, its usage, and the keys of its rotation.

    raises  NotFound
    """
    rows = api_keys.search(account_id)
    key = next((row for row in rows if row.key_id == key_id), None)
    if key is None:
        raise NotFound
    return KeyPage(
        key=key,
        activity=usage.activity(key.id),
        pair=[row for row in rows if key.id == row.rotated_from or row.id == key.rotated_from],
    )
