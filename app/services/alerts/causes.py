"""The ids of causes: alerts of one evaluation with the same cause get the same id."""

from collections.abc import Iterable
from uuid import UUID

from app import ids
from app.models import Alert
from app.rules.engine.types import AlertDraft, Causes


class CauseIds:
    """The cause ids of the alerts of one evaluation.

    causes     None if each alert is its own cause
    sustained  alerts whose problem is seen again, with the new drafts; others with the same cause
               get the same id
    """

    def __init__(
        self, causes: Causes | None = None, sustained: Iterable[tuple[Alert, AlertDraft]] = ()
    ) -> None:
        self._causes = causes
        self._by_key: dict[str, UUID] = {}
        if causes is not None:
            for alert, draft in sustained:
                key = causes.key(draft)
                if key is not None and alert.cause_id is not None:
                    self._by_key.setdefault(key, alert.cause_id)

    def of(self, draft: AlertDraft) -> UUID:
        """Return the id of the cause of this alert."""
        key = self._causes.key(draft) if self._causes else None
        return ids.new() if key is None else self._by_key.setdefault(key, ids.new())
