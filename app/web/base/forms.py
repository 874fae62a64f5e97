"""Fields of the dashboard's forms, each with its limits and error messages."""

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
    """The submitted form. It collects errors, so that all of them are shown at once."""

    def __init__(self) -> None:
        self._errors: list[dict[str, str]] = []

    def check(self) -> None:
        """Raise the collected errors; call it after reading all fields.

        raises  InvalidRequest with every error
        """
        if self._errors:
            raise InvalidRequest(self._errors)

    def add_error(self, field: str, message: str) -> None:
        """Add an error for a field."""
        self._errors.append({"field": field, "code": "invalid", "message": message})

    def text(self, field: str, most: int = 1000) -> str:
        """The text, without whitespace at its ends."""
        text = request.form.get(field, "").strip()
        if len(text) > most:
            self.add_error(field, f"Enter at most {most} characters")
        return text[:most]

    def choice(
        self, field: str, allowed: Collection[str], message: str = "Choose one of the options"
    ) -> str:
        """The selected value, one of ``allowed``."""
        value = request.form.get(field, "")
        if value not in allowed:
            self.add_error(field, message)
        return value

    def chosen(self, field: str, allowed: Collection[str]) -> list[str]:
        """The selected values, in the order of ``allowed``."""
        selected = set(request.form.getlist(field))
        return [value for value in allowed if value in selected]

    def usage(self) -> Usage:
        """The use of a domain."""
        value = self.choice("usage", list(Usage))
        return Usage(value) if value in list(Usage) else Usage.BOTH

    def tags(self) -> list[str]:
        """Tags, separated by commas."""
        tags = [tag.strip() for tag in self.text("tags", 1200).split(",") if tag.strip()]
        if len(tags) > 20 or not all(_TAG.fullmatch(tag) for tag in tags):
            self.add_error(
                "tags", "Enter at most 20 tags of up to 50 characters, separated by commas"
            )
        return list(dict.fromkeys(tags))

    def selectors(self) -> list[str]:
        """DKIM selectors, separated by spaces or commas."""
        selectors = [part for part in re.split(r"[\s,]+", self.text("selectors", 6000)) if part]
        if len(selectors) > 30 or not all(_SELECTOR.fullmatch(part) for part in selectors):
            message = "Enter at most 30 selectors such as s2026 or mail.eu, without a domain"
            self.add_error("selectors", message)
        return list(dict.fromkeys(selectors))

    def words(self, field: str) -> list[str]:
        """Words, separated by spaces or commas."""
        return [word for word in re.split(r"[\s,]+", self.text(field, 2000)) if word]

    def days(self, field: str, most: int = MAX_DAYS) -> timedelta | None:
        """A number of days from now; None if the field is empty."""
        text = self.text(field, 20)
        if not text:
            return None
        if not re.fullmatch(r"[0-9]{1,4}", text) or not 1 <= int(text) <= most:
            self.add_error(field, f"Enter a whole number of days, 1 to {most}")
            return None
        return timedelta(days=int(text))


def domain_settings(form: Form) -> dict[str, Any]:
    """The monitoring settings in a domain's form."""
    return {
        "usage": form.usage(),
        "tags": form.tags(),
        "dkim_selectors": form.selectors(),
        "schedule": form.choice("schedule", SCHEDULES),
    }


def day(text: str) -> datetime | None:
    """The start of a day such as 2026-01-31 (UTC); None for anything else."""
    if not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return None
    try:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    except ValueError:
        return None


def day_after(text: str) -> datetime | None:
    """The end of a day such as 2026-01-31 (UTC); None for anything else."""
    start = day(text)
    return start + timedelta(days=1) if start else None


def moment(text: str) -> datetime | None:
    """A time such as 2026-01-31T12:00 (UTC by default); None for anything else."""
    try:
        at = datetime.fromisoformat(text)
        at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return at if FIRST <= at <= LAST else None
