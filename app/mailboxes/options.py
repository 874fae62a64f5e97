"""The options of a mailbox type: columns of JSON, fields of a form and options of a command.

A type is a dataclass, and each of its fields is made by one of the functions below.
"""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from app.protocols import names

MAX_HOST = 253
MAX_SECRET = 2_000


class Kind(StrEnum):
    """The kind of value of an option; all are text, except numbers."""

    TEXT = "text"
    HOST = "host"
    NUMBER = "number"
    CHOICE = "choice"
    LONG_TEXT = "long_text"
    SECRET = "secret"


class OptionError(NamedTuple):
    """What is wrong with an option, for people."""

    field: str
    message: str


class InvalidOptions(ValueError):
    """Options that cannot be used, with all errors."""

    def __init__(self, errors: list[OptionError]) -> None:
        super().__init__("; ".join(f"{error.field}: {error.message}" for error in errors))
        self.errors = errors


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a mailbox type.

    hint           a sentence below the field
    is_required    whether the value may not be empty
    most, least    of a number; otherwise ``most`` is the number of characters
    choices        labels by value
    is_bound       the stored secrets can only be used again while this value stays the same,
                   because they would be sent to another server otherwise
    is_advanced    shown only on request
    """

    label: str
    kind: Kind
    hint: str = ""
    placeholder: str = ""
    is_required: bool = True
    most: int = 200
    least: int = 0
    choices: Mapping[str, str] | None = None
    is_bound: bool = False
    is_advanced: bool = False

    def parse(self, text: str) -> Any:
        """Return the value of the text that a person entered.

        raises  ValueError with the reason
        """
        if self.kind is not Kind.NUMBER:
            return text
        if not text.strip() and not self.is_required:
            return None
        if not (text.strip().isascii() and text.strip().isdecimal()):
            raise ValueError(self._range)
        return int(text)

    def normalized(self, value: Any) -> Any:
        """Return the value in the form in which it is stored."""
        if not isinstance(value, str) or self.kind is Kind.SECRET:
            return value
        value = value.replace("\r\n", "\n").strip()
        if self.kind is Kind.HOST:
            value = value.lower()
            with suppress(names.NotADomain):
                value = names.parse_host(value)
        return value

    def problems(self, value: Any) -> Iterator[str]:
        """Yield what is wrong with a value."""
        if self.choices is not None:
            if value not in self.choices:
                yield f"Choose one of: {', '.join(self.choices)}"
        elif value in ("", None):
            if self.is_required:
                yield self._range if self.kind is Kind.NUMBER else f"Enter {self._length}"
        elif self.kind is Kind.NUMBER:
            if not self.least <= value <= self.most:
                yield self._range
        else:
            yield from self._text_problems(value)

    def _text_problems(self, text: str) -> Iterator[str]:
        is_printable = self.kind is Kind.LONG_TEXT or text.isprintable()
        if len(text) > self.most or not is_printable:
            yield f"Enter {self._length}"
        elif self.kind is Kind.HOST:
            yield from _host_problems(text)

    @property
    def _length(self) -> str:
        return f"1 to {self.most} printable characters"

    @property
    def _range(self) -> str:
        return f"Enter a number from {self.least} to {self.most}"


def _host_problems(host: str) -> Iterator[str]:
    try:
        names.parse_host(host)
    except names.NotADomain as error:
        if error.code != "ip_address":
            yield error.reason


def option_of(item: "Field[Any]") -> Option:
    """Return the option that a field of a dataclass was made for."""
    option: Option = item.metadata["option"]
    return option


def default_of(item: "Field[Any]") -> Any:
    """Return the default of a field; an empty value if it has none."""
    if item.default is not MISSING:
        return item.default
    return None if option_of(item).kind is Kind.NUMBER else ""


def text(label: str, *, default: Any = MISSING, **details: Any) -> Any:
    """Return a field for a line of text; without a default it is required."""
    return _field(label, Kind.TEXT, default, details)


def host(label: str, *, default: Any = MISSING, **details: Any) -> Any:
    """Return a field for a host, to which the secrets are sent."""
    return _field(label, Kind.HOST, default, {"most": MAX_HOST, "is_bound": True, **details})


def number(label: str, *, default: Any = None, **details: Any) -> Any:
    """Return a field for a whole number; None if it is not required and empty."""
    return _field(label, Kind.NUMBER, default, {"is_required": default is not None, **details})


def port(label: str = "Port (optional)", **details: Any) -> Any:
    """Return a field for the port of a server."""
    return number(label, least=1, most=65_535, is_bound=True, **details)


def choice(label: str, choices: Mapping[str, str], *, default: str, **details: Any) -> Any:
    """Return a field for one of several values, given with their labels."""
    return _field(label, Kind.CHOICE, default, {"choices": choices, **details})


def long_text(label: str, *, most: int, default: Any = "", **details: Any) -> Any:
    """Return a field for several lines of text."""
    return _field(label, Kind.LONG_TEXT, default, {"most": most, **details})


def secret(label: str, *, default: Any = MISSING, **details: Any) -> Any:
    """Return a field for a password or token, which is stored encrypted and never shown."""
    return _field(label, Kind.SECRET, default, {"most": MAX_SECRET, **details})


def _field(label: str, kind: Kind, default: Any, details: dict[str, Any]) -> Any:
    details.setdefault("is_required", default is MISSING or kind is Kind.CHOICE)
    option = Option(label=label, kind=kind, **details)
    return field(default=default, repr=kind is not Kind.SECRET, metadata={"option": option})
