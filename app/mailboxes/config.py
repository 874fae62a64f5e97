"""The base class of mailbox types: the options of a mailbox, and how it is opened."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import Field, dataclass, fields, replace
from typing import Any, ClassVar, Self

from app.mailboxes.options import InvalidOptions, Kind, Option, OptionError, default_of, option_of
from app.mailboxes.types import Access, Mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class MailboxConfig(ABC):
    """The options of a mailbox; a subclass is a mailbox type.

    type              the value of ``report_mailboxes.type``
    label             the name in the dashboard
    description       what the type does, as a sentence
    is_operator_only  whether only operators may add such mailboxes
    """

    type: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    is_operator_only: ClassVar[bool] = False

    @property
    @abstractmethod
    def title(self) -> str:
        """The mailbox in lists, such as the user name; hidden from viewers."""

    @property
    @abstractmethod
    def location(self) -> str:
        """Where the reports are, such as the server and the folder; unique with the title."""

    @abstractmethod
    def opened(self, access: Access) -> AbstractContextManager[Mailbox]:
        """Open the mailbox until the end of the block.

        raises  MailboxError with the words of the server, also within the block
        """

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with valid options in combination."""
        return iter(())

    def missing_secrets(self) -> Iterator[OptionError]:
        """Yield the secrets that these options need, although not all need them."""
        return iter(())

    @classmethod
    def fields(cls) -> Mapping[str, "Field[Any]"]:
        """Return the fields of the options by name, in the order of the form."""
        return {item.name: item for item in fields(cls)}

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Return the options by name, in the order of the form."""
        return {name: option_of(item) for name, item in cls.fields().items()}

    @classmethod
    def parsed(cls, texts: Mapping[str, str]) -> Self:
        """Return the options that a person entered; missing ones have their defaults.

        raises  InvalidOptions
        """
        values, errors = {}, []
        for name, item in cls.fields().items():
            try:
                values[name] = option_of(item).parse(texts.get(name) or "")
            except ValueError as error:
                errors.append(OptionError(name, str(error)))
                continue
            if values[name] in ("", None):
                values[name] = default_of(item) if name not in texts else values[name]
        if errors:
            raise InvalidOptions(errors)
        return cls(**values)

    @classmethod
    def stored(cls, public: Mapping[str, Any], secrets: Mapping[str, str]) -> Self:
        """Return stored options; those that were added to the type later have their defaults."""
        values = {**public, **secrets}
        return cls(**{name: values.get(name, default_of(f)) for name, f in cls.fields().items()})

    def checked(self, *, requires_secrets: bool = True) -> Self:
        """Return the options in the form in which they are stored.

        requires_secrets  whether secrets may not be empty
        raises            InvalidOptions
        """
        config = self.normalized()
        errors = []
        for name, option in self.options().items():
            value = getattr(config, name)
            if option.kind is not Kind.SECRET or value or requires_secrets:
                errors += [OptionError(name, problem) for problem in option.problems(value)]
        errors += [] if errors else config.problems()
        errors += config.missing_secrets() if requires_secrets and not errors else []
        if errors:
            raise InvalidOptions(errors)
        return config

    def normalized(self) -> Self:
        """Return the options in the form in which they are stored, without any check."""
        values = {name: getattr(self, name) for name in self.options()}
        return replace(
            self, **{name: self.options()[name].normalized(values[name]) for name in values}
        )

    def public(self) -> dict[str, Any]:
        """Return the options that are not secret."""
        return {name: getattr(self, name) for name in self._names(is_secret=False)}

    def secrets(self) -> dict[str, str]:
        """Return the secret options."""
        return {name: getattr(self, name) for name in self._names(is_secret=True)}

    def changed_bound_option(self, other: "MailboxConfig") -> str | None:
        """Return the label of the first differing option that the secrets are bound to, if any."""
        for name, option in self.options().items():
            if option.is_bound and getattr(self, name) != getattr(other, name):
                return option.label
        return None

    def servers(self) -> list[Any]:
        """Return the hosts and ports that the options name."""
        return [
            getattr(self, name)
            for name, option in self.options().items()
            if option.kind is Kind.HOST or (option.kind is Kind.NUMBER and option.is_bound)
        ]

    def _names(self, *, is_secret: bool) -> list[str]:
        return [
            name
            for name, option in self.options().items()
            if (option.kind is Kind.SECRET) is is_secret
        ]
