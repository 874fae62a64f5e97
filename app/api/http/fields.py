"""What clients may send, field by field, each with its bound."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from app.api.http.endpoint import Query
from app.protocols.report_formats.limits import LIMITS
from app.protocols.timestamps import FIRST, LAST


def _is_plain(text: str) -> str:
    """No NUL and no other control character: databases and terminals choke on them."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _is_tag(text: str) -> str:
    if "," in text or text != text.strip():
        raise ValueError("no comma, and no blank at the ends")
    return _is_plain(text)


def _is_near(moment: datetime) -> datetime:
    """Within what can be said in UTC, and what databases can hold."""
    if not FIRST <= moment <= LAST:
        raise ValueError(f"it must be from {FIRST.year} to {LAST.year - 1}")
    return moment.astimezone(UTC)


Timestamp = Annotated[AwareDatetime, AfterValidator(_is_near)]
Text = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_is_plain)]
Name = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_is_plain)]
Host = Annotated[str, Field(min_length=1, max_length=LIMITS.field), AfterValidator(_is_plain)]
Note = Annotated[str, Field(max_length=1000), AfterValidator(_is_plain)]
Tag = Annotated[str, Field(min_length=1, max_length=50), AfterValidator(_is_tag)]
Selector = Annotated[
    str,
    Field(min_length=1, max_length=190, pattern=r"^[A-Za-z0-9_]([A-Za-z0-9._-]*[A-Za-z0-9_])?$"),
]
Tags = Annotated[list[Tag], Field(max_length=20)]
Selectors = Annotated[list[Selector], Field(max_length=30)]
Schedule = Literal["hourly", "daily", "weekly", "off"]
ScanStatus = Literal["queued", "running", "completed", "failed", "cancelled"]
AlertStatus = Literal["open", "acknowledged", "snoozed", "dismissed", "resolved"]
AlertAction = Literal["open", "acknowledged", "snoozed", "dismissed"]

MAX_AGE = int(timedelta(days=7).total_seconds())


class Listing(Query):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    cursor: Annotated[str, Field(min_length=1, max_length=2000)] | None = None


class PeriodQuery(Listing):
    """A page of what happened in a span of time: ``from`` is in it, ``to`` is not."""

    from_at: Timestamp | None = Field(default=None, alias="from")
    to_at: Timestamp | None = Field(default=None, alias="to")


class NoQuery(Query):
    """No parameters."""
