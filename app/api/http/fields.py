"""Types of fields and parameters, each with its limits."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    TypeAdapter,
    ValidationError,
)

from app import ids
from app.api.http.endpoint import Query
from app.errors import NotFound
from app.protocols.report_formats.limits import LIMITS
from app.protocols.timestamps import FIRST, LAST

_TIME = TypeAdapter(AwareDatetime)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


def _is_plain(text: str) -> str:
    """Refuse control characters, which databases and terminals cannot handle."""
    if any(ord(character) < 32 or ord(character) == 127 for character in text):
        raise ValueError("control characters are not allowed")
    return text


def _is_tag(text: str) -> str:
    if "," in text or text != text.strip():
        raise ValueError("commas and whitespace at the ends are not allowed")
    return _is_plain(text)


def _read_time(value: object) -> object:
    """Return the time of a text; numbers are refused, which could otherwise be Unix times."""
    if not isinstance(value, str):
        return value
    if not _DATE.match(value):
        raise ValueError("expected a time in RFC 3339 format, such as 2026-11-01T00:00:00Z")
    try:
        return _TIME.validate_python(value)
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"]) from None


def _in_range(at: datetime) -> datetime:
    """Refuse times that databases cannot store; returns the time in UTC."""
    if not FIRST <= at <= LAST:
        raise ValueError(f"the year must be from {FIRST.year} to {LAST.year - 1}")
    return at.astimezone(UTC)


Timestamp = Annotated[AwareDatetime, BeforeValidator(_read_time), AfterValidator(_in_range)]
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
ScanTrigger = Literal["api", "schedule", "dashboard", "cli"]
Grade = Literal["A", "B", "C", "D", "F"]
AlertStatus = Literal["open", "acknowledged", "snoozed", "dismissed", "resolved"]
AlertAction = Literal["open", "acknowledged", "snoozed", "dismissed"]

MAX_AGE = int(timedelta(days=7).total_seconds())


class Listing(Query):
    """A page of a list."""

    limit: Annotated[int, Field(ge=1, le=100)] = Field(
        default=50, description="The number of items per page."
    )
    cursor: Annotated[str, Field(min_length=1, max_length=2000)] | None = Field(
        default=None, description="The value of `nextCursor` of the previous page."
    )


class PeriodQuery(Listing):
    """A page of a list within a period, which includes ``from`` and excludes ``to``."""

    from_at: Timestamp | None = Field(default=None, alias="from")
    to_at: Timestamp | None = Field(default=None, alias="to")


class NoQuery(Query):
    """A query string without parameters."""


def path_id(prefix: str, text: str) -> UUID:
    """Return the id in a path.

    raises  NotFound for an invalid id
    """
    id = ids.parse(prefix, text)
    if id is None:
        raise NotFound.of(prefix, text)
    return id
