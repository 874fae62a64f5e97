"""The time of this machine.

Within a transaction, ``app.db.transactions.now`` returns the time of the database: the processes of
all machines compare leases, schedules and expiries with the same clock. All other code calls this
module. No other module reads a clock that shows the time of day. Durations and deadlines within
one process are measured with ``time.monotonic``.
"""

import time
from datetime import UTC, datetime


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def seconds() -> float:
    """Return the current time in Unix seconds."""
    return time.time()
