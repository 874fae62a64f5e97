"""The base of the dashboard's forms, and their fields.

A form validates what was submitted, shows each error next to its field, and keeps the input. The
CSRF token is not part of it: ``requirements.require_session`` checks it before a view runs.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Self

from flask import request
from wtforms import Form, PasswordField, SelectField, SelectMultipleField, StringField
from wtforms.meta import DefaultMeta
from wtforms.validators import AnyOf, Length, ValidationError
from wtforms.widgets import CheckboxInput, TextArea

from app import wall_clock
from app.errors import ApplicationError, InvalidRequest

MAX_DAYS = 3650
_TAG = re.compile(r"[^,\s][^,]{0,48}[^,\s]|[^,\s]")
_SELECTOR = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,188}[A-Za-z0-9_])?")
_SEPARATORS = re.compile(r"[\s,]+")


def is_tag(text: str) -> bool:
    """Whether the text is one tag."""
    return _TAG.fullmatch(text) is not None


class BaseForm(Form):
    """A form of a page."""

    class Meta(DefaultMeta):
        """How the fields of all forms are rendered."""

        def render_field(self, field: Any, render_kw: Any) -> Any:
            """Render a field, with a reference to its error message if it has one."""
            if field.errors:
                error = {"aria-invalid": "true", "aria-describedby": f"error-{field.id}"}
                render_kw = {**error, **render_kw}
            return super().render_field(field, render_kw)

    @classmethod
    def submitted(cls) -> Self:
        """Return the form with the submitted values."""
        return cls(request.form)

    def check(self) -> None:
        """Validate all fields.

        raises  InvalidRequest with every error
        """
        if not self.validate():
            raise InvalidRequest(
                [
                    {"field": field.name, "code": "invalid", "message": message}
                    for field in self
                    for message in field.errors
                ]
            )

    def add_errors(
        self, error: ApplicationError, otherwise: str, names: Mapping[str, str] | None = None
    ) -> None:
        """Add the errors of a service to their fields.

        otherwise  the field of an error that is about no field of the form
        names      names of fields in the form, by their names in the service
        """
        details = error.extra.get("details") or [{"field": otherwise, "message": error.message}]
        for detail in details:
            name = (names or {}).get(detail["field"], detail["field"])
            field = self[name if name in self else otherwise]
            if detail["message"] not in field.errors:
                field.errors = [*field.errors, detail["message"]]


class TextField(StringField):
    """Text without whitespace at its ends, of at most ``most`` characters.

    options  those of WTForms' fields; ``render_kw`` are attributes of the element
    """

    def __init__(
        self, label: str, most: int = 1000, validators: Sequence[Any] = (), **options: Any
    ) -> None:
        length = Length(max=most, message=f"Enter at most {most} characters")
        filters = (lambda text: (text or "").strip(),)
        super().__init__(label, [length, *validators], filters=filters, **options)

    @property
    def text(self) -> str:
        """The text."""
        return self.data or ""


class LongTextField(TextField):
    """Text of several lines."""

    widget = TextArea()


class WordsField(TextField):
    """Words, separated by spaces or commas."""

    @property
    def words(self) -> list[str]:
        """The words in their order, without duplicates."""
        return list(dict.fromkeys(word for word in _SEPARATORS.split(self.text) if word))


class SelectorsField(WordsField):
    """DKIM selectors, separated by spaces or commas."""

    def pre_validate(self, form: Any) -> None:
        """Check each selector."""
        if len(self.words) > 30 or not all(_SELECTOR.fullmatch(word) for word in self.words):
            raise ValidationError(
                "Enter at most 30 selectors such as s2026 or mail.eu, without a domain"
            )


class TagsField(TextField):
    """Tags, separated by commas."""

    @property
    def tags(self) -> list[str]:
        """The tags in their order, without duplicates."""
        return list(dict.fromkeys(tag.strip() for tag in self.text.split(",") if tag.strip()))

    def pre_validate(self, form: Any) -> None:
        """Check each tag."""
        if len(self.tags) > 20 or not all(map(is_tag, self.tags)):
            raise ValidationError(
                "Enter at most 20 tags of up to 50 characters, separated by commas"
            )


class ExpiryField(TextField):
    """The number of days, 1 to ``MAX_DAYS``, after which something expires; empty for never."""

    def __init__(self, **options: Any) -> None:
        attributes = {
            "inputmode": "numeric",
            "pattern": "[0-9]{1,4}",
            "maxlength": 4,
            "placeholder": "never",
        }
        super().__init__("Expires after days (optional)", 20, render_kw=attributes, **options)

    def pre_validate(self, form: Any) -> None:
        """Check the number."""
        is_number = re.fullmatch(r"[0-9]{1,4}", self.text)
        if self.text and not (is_number and 1 <= int(self.text) <= MAX_DAYS):
            raise ValidationError(f"Enter a whole number of days, 1 to {MAX_DAYS}")

    @property
    def expires_at(self) -> datetime | None:
        """The time of expiry, counted from now; None if the field is empty."""
        return wall_clock.now() + timedelta(days=int(self.text)) if self.text else None


class SecretField(PasswordField):
    """A password, which is never shown again; whitespace at its ends counts."""

    def __init__(self, label: str, autocomplete: str, **options: Any) -> None:
        attributes = {"required": True, "maxlength": 200, "autocomplete": autocomplete}
        attributes |= options.pop("render_kw", {})
        super().__init__(label, render_kw=attributes, **options)

    @property
    def text(self) -> str:
        """The password."""
        return self.data or ""


class ChoiceField(SelectField):
    """One of several options, by value with their labels; a missing value is an error."""

    def __init__(
        self,
        label: str,
        options: Mapping[str, str],
        message: str = "Choose one of the options",
        **field_options: Any,
    ) -> None:
        super().__init__(
            label,
            [AnyOf(options, message)],
            choices=dict(options),
            validate_choice=False,
            **field_options,
        )

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Take the submitted value."""
        self.data = valuelist[0] if valuelist else ""

    @property
    def text(self) -> str:
        """The value of the selected option."""
        return self.data or ""


class ChoicesField(SelectMultipleField):
    """Any number of options, by value with their labels; unknown values are ignored."""

    def __init__(self, label: str, options: Mapping[str, str], **field_options: Any) -> None:
        super().__init__(
            label,
            choices=dict(options),
            validate_choice=False,
            option_widget=CheckboxInput(),
            **field_options,
        )

    def process_formdata(self, valuelist: list[Any]) -> None:
        """Take the submitted values, in the order of the options."""
        self.data = [value for value in self.choices or () if value in valuelist]

    @property
    def values(self) -> list[str]:
        """The selected values, in the order of the options."""
        return self.data or []
