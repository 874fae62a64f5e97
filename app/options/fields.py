"""One option: a field of stored JSON, of a form of the dashboard and of a command.

A type of mailboxes or sinks is a dataclass (``app.options.schema``), and each of its fields is made
by one of the functions below.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One option of a type.

    hint           a sentence below the field
    is_required    whether the value may not be empty
    needed_with    the values of other options, by name, with which the value may not be empty
    is_used_otherwise  whether the value is also used, but may be empty, with other values of them
    most, least    of a number; otherwise ``most`` is the number of characters
    choices        labels by value
    is_bound       the stored secrets can only be used again while this value stays the same,
                   because they would be sent to another server otherwise
    is_advanced    shown only on request
    generate       returns a value, for a secret that this service creates; people cannot enter it
    """

    label: str
    kind: Kind
    hint: str = ""
    placeholder: str = ""
    is_required: bool = True
    needed_with: Mapping[str, Collection[str]] | None = None
    is_used_otherwise: bool = False
    most: int = 200
    least: int = 0
    choices: Mapping[str, str] | None = None
    is_bound: bool = False
    is_advanced: bool = False
    generate: Callable[[], str] | None = None

    @property
    def title(self) -> str:
        """The label of the field, which says whether it may stay empty."""
        is_optional = not (self.is_required or self.needed_with)
        return f"{self.label} (optional)" if is_optional else self.label

    @property
    def is_secret(self) -> bool:
        """Whether the value is stored encrypted and never shown."""
        return self.kind is Kind.SECRET

    @property
    def is_long(self) -> bool:
        """Whether the value has several lines."""
        return self.kind is Kind.LONG_TEXT

    def parse(self, text: str) -> Any:
        """Return the value of the text that a person entered.

        raises  ValueError with the reason
        """
        if self.kind is not Kind.NUMBER:
            return text
        text = text.strip()
        if not text and not self.is_required:
            return None
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise ValueError(self._range)
        return int(text)

    def loaded(self, value: Any) -> Any:
        """Return a stored value; a number may be stored as text, by a version before 0.2.0."""
        return self.parse(value) if isinstance(value, str) else value

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
        lines = text.replace("\t", " ").split("\n") if self.is_long else [text]
        if len(text) > self.most or not all(map(str.isprintable, lines)):
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
    """Return a field for a line of text; it is required unless its default is empty."""
    return _field(label, Kind.TEXT, default, details)


def host(label: str, *, default: Any = MISSING, **details: Any) -> Any:
    """Return a field for a host, to which the secrets are sent."""
    return _field(label, Kind.HOST, default, {"most": MAX_HOST, "is_bound": True, **details})


def number(label: str, *, default: Any = None, **details: Any) -> Any:
    """Return a field for a whole number; None if it is not required and empty."""
    return _field(label, Kind.NUMBER, default, details)


def port(label: str = "Port", **details: Any) -> Any:
    """Return a field for the port of a server, which may be empty."""
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
    details.setdefault("is_required", default not in ("", None))
    option = Option(label=label, kind=kind, **details)
    return field(default=default, repr=not option.is_secret, metadata={"option": option})
