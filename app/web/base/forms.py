"""What people may type into the forms, field by field, each with its bound."""

import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import request

from app.checks.engine.types import Usage
from app.errors import InvalidRequest
from app.models.domains import SCHEDULES
from app.protocols.timestamps import FIRST, LAST

MAX_DAYS = 3650
_TAG = re.compile(r"[^,\s][^,]{0,48}[^,\s]|[^,\s]")
_SELECTOR = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,188}[A-Za-z0-9_])?")


class Form:
    """The form that was sent. It collects what is wrong, so that all is said at once."""

    def __init__(self) -> None:
        self._complaints: list[dict[str, str]] = []

    def check(self) -> None:
        """Must be called once all is read.

        raises  InvalidRequest with every complaint
        """
        if self._complaints:
            raise InvalidRequest(self._complaints)

    def add_error(self, field: str, message: str) -> None:
        """Something is wrong with this field."""
        self._complaints.append({"field": field, "code": "invalid", "message": message})

    def text(self, field: str, most: int = 1000) -> str:
        """The text, without blanks at its ends."""
        found = request.form.get(field, "").strip()
        if len(found) > most:
            self.add_error(field, f"at most {most} characters")
        return found[:most]

    def choice(self, field: str, allowed: Collection[str], message: str = "choose one") -> str:
        """One of the words that are allowed."""
        found = request.form.get(field, "")
        if found not in allowed:
            self.add_error(field, message)
        return found

    def chosen(self, field: str, allowed: Collection[str]) -> list[str]:
        """Those that were ticked, in the order in which they are offered."""
        ticked = set(request.form.getlist(field))
        return [word for word in allowed if word in ticked]

    def usage(self) -> Usage:
        """What a domain is used for."""
        found = self.choice("usage", list(Usage))
        return Usage(found) if found in list(Usage) else Usage.BOTH

    def tags(self) -> list[str]:
        """Tags, separated by commas."""
        found = [tag.strip() for tag in self.text("tags", 1200).split(",") if tag.strip()]
        if len(found) > 20 or not all(_TAG.fullmatch(tag) for tag in found):
            self.add_error("tags", "at most 20, each of at most 50 characters, separated by commas")
        return list(dict.fromkeys(found))

    def selectors(self) -> list[str]:
        """DKIM selectors, separated by blanks or commas."""
        found = re.split(r"[\s,]+", self.text("selectors", 6000))
        found = [selector for selector in found if selector]
        if len(found) > 30 or not all(_SELECTOR.fullmatch(selector) for selector in found):
            self.add_error("selectors", "at most 30 names like s2026 or mail.eu, without a domain")
        return list(dict.fromkeys(found))

    def words(self, field: str) -> list[str]:
        """Words, separated by blanks or commas."""
        return [word for word in re.split(r"[\s,]+", self.text(field, 2000)) if word]

    def days(self, field: str, most: int = MAX_DAYS) -> timedelta | None:
        """A number of days from now; None if the field is empty."""
        text = self.text(field, 20)
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
            self.add_error(field, f"a whole number of days, 1 to {most}")
            return None
        return timedelta(days=int(text))


def domain_settings(form: Form) -> dict[str, Any]:
    """The part of a domain's form that says how it is watched."""
    return {
        "usage": form.usage(),
        "tags": form.tags(),
        "dkim_selectors": form.selectors(),
        "schedule": form.choice("schedule", SCHEDULES),
    }


def day(text: str) -> datetime | None:
    """The start of a day like 2026-01-31 (UTC) out of a filter; None for anything else."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def day_after(text: str) -> datetime | None:
    """The end of such a day."""
    found = day(text)
    return found + timedelta(days=1) if found else None


def moment(text: str) -> datetime | None:
    """A time like 2026-01-31T12:00 (UTC unless it says otherwise); None for anything else."""
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return found if FIRST <= found <= LAST else None
