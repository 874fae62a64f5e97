"""What a caller asks of the analytics of a domain."""

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from app.analysis.mail.periods import Interval, Window

UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True)
class SeriesQuery:
    """The figures of a domain (an id or a name) in a period, and by interval in a time zone."""

    domain: str
    from_at: datetime
    to_at: datetime
    interval: Interval = "day"
    zone: ZoneInfo = UTC

    @property
    def window(self) -> Window:
        """The full hours in the period."""
        return Window.between(self.from_at, self.to_at)
