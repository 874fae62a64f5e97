"""How many mails the SMTP and LMTP listener accepts in a minute, for each account and sender."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app import settings
from app.services.ingest import budgets


class MailRates:
    """Counters of one listener. They are the limits of posted reports, counted by themselves.

    Known senders are not counted with strangers, who therefore cannot use up what is theirs.
    """

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def is_within(self, account_id: UUID, claims: Mapping[str, Any]) -> bool:
        """Count one mail to the account; False if there were too many."""
        current = settings.current()
        source = budgets.source_of("mail", claims)
        if budgets.is_known(account_id, source):
            return self._hit(current.ingest_rate_limit, "known", str(account_id))
        narrow = self._hit(current.ingest_source_rate_limit, "source", f"{account_id} {source}")
        return narrow and self._hit(current.ingest_rate_limit, "strangers", str(account_id))

    def _hit(self, limits: str, sender: str, account: str) -> bool:
        return all(self._limiter.hit(item, sender, account) for item in parse_many(limits))
