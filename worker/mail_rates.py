"""Rate limits of the SMTP and LMTP listener, for each account and sender."""

from uuid import UUID

from limits import parse_many
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from app import settings
from app.services.ingest import budgets
from app.services.ingest.authenticity import SenderMetadata


class MailRates:
    """Counters of one listener, with the limits of reports that are sent by HTTP.

    Known senders are counted separately, so that unknown senders cannot use up their limit.
    """

    def __init__(self) -> None:
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    def is_within(self, account_id: UUID, sender_metadata: SenderMetadata) -> bool:
        """Count one mail to the account, and return False if a limit is exceeded."""
        current = settings.current()
        source = budgets.source_of("mail", sender_metadata)
        if budgets.is_known(account_id, source):
            return self._hit(current.ingest_rate_limit, "known", str(account_id))
        narrow = self._hit(current.ingest_source_rate_limit, "source", f"{account_id} {source}")
        return narrow and self._hit(current.ingest_rate_limit, "unknown", str(account_id))

    def _hit(self, limits: str, sender: str, account: str) -> bool:
        return all(self._limiter.hit(item, sender, account) for item in parse_many(limits))
