"""The options of one mailbox or one sink: parsed, checked and stored in the same way for all."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import Field, dataclass, replace
from typing import Any, Self

from app.errors import InvalidRequest
from app.options.fields import Kind, Option, OptionError, default_of, option_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The values of the options of a type; a subclass declares them as fields."""

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with valid options in combination."""
        return iter(())

    @classmethod
    def fields(cls) -> Mapping[str, "Field[Any]"]:
        """Return the fields of the options by name, in the order of the form."""
        items = sorted(dataclasses.fields(cls), key=lambda item: option_of(item).is_advanced)
        return {item.name: item for item in items}

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Return the options by name, in the order of the form."""
        return {name: option_of(item) for name, item in cls.fields().items()}

    @classmethod
    def entered(cls) -> Mapping[str, Option]:
        """Return the options that people enter, by name."""
        return {name: option for name, option in cls.options().items() if option.generate is None}

    @classmethod
    def parsed(cls, texts: Mapping[str, str]) -> Self:
        """Return the options that a person entered; missing ones have their defaults.

        raises  InvalidRequest
        """
        values, errors = {}, []
        for name, item in cls.fields().items():
            if name not in texts:
                values[name] = default_of(item)
                continue
            try:
                values[name] = option_of(item).parse(texts[name])
            except ValueError as error:
                errors.append(OptionError(name, str(error)))
        if errors:
            raise _invalid(errors)
        return cls(**values)

    @classmethod
    def stored(cls, public: Mapping[str, Any], secrets: Mapping[str, str]) -> Self:
        """Return stored options; those that were added to the type later have their defaults."""
        values = {**public, **secrets}
        return cls(
            **{
                name: option_of(item).loaded(values[name]) if name in values else default_of(item)
                for name, item in cls.fields().items()
            }
        )

    def checked(self, *, requires_secrets: bool = True) -> Self:
        """Return the options in the form in which they are stored.

        requires_secrets  whether secrets may not be empty
        raises            InvalidRequest
        """
        config = self.normalized()
        errors = []
        for name, option in self.options().items():
            value = getattr(config, name)
            if not option.is_secret or value or requires_secrets:
                errors += [OptionError(name, problem) for problem in option.problems(value)]
        errors += config.missing(requires_secrets=requires_secrets)
        errors += [] if errors else config.problems()
        if errors:
            raise _invalid(errors)
        return config

    def missing(self, *, requires_secrets: bool) -> Iterator[OptionError]:
        """Yield the options that are empty although the values of others need them."""
        for name, option in self.options().items():
            is_relevant = requires_secrets or not option.is_secret
            needs = option.needed_with or {}
            if is_relevant and needs and self._needs(option) and not getattr(self, name):
                reasons = [
                    f"“{self.options()[other].label}” is “{self._label_of(other)}”"
                    for other in needs
                ]
                yield OptionError(name, f"This is required if {' and '.join(reasons)}")

    def _label_of(self, name: str) -> str:
        value = getattr(self, name)
        return (self.options()[name].choices or {}).get(value, str(value))

    def uses(self, name: str) -> bool:
        """Return whether the values of the other options leave a use for this one."""
        option = self.options()[name]
        return option.is_used_otherwise or self._needs(option)

    def _needs(self, option: Option) -> bool:
        conditions = option.needed_with or {}
        return all(getattr(self, name) in values for name, values in conditions.items())

    def normalized(self) -> Self:
        """Return the options in the form in which they are stored, without any check."""
        values = {name: getattr(self, name) for name in self.options()}
        return replace(
            self, **{name: self.options()[name].normalized(values[name]) for name in values}
        )

    def public(self) -> dict[str, Any]:
        """Return the options that are not secret."""
        return {name: getattr(self, name) for name, o in self.options().items() if not o.is_secret}

    def secrets(self) -> dict[str, str]:
        """Return the secret options."""
        return {name: getattr(self, name) for name, o in self.options().items() if o.is_secret}

    @property
    def has_all_secrets(self) -> bool:
        """Whether no secret is empty."""
        return all(self.secrets().values())

    def with_generated(self) -> tuple[Self, dict[str, str]]:
        """Return the options with new values for those that people cannot enter, which
        are also returned by label."""
        values = {
            name: option.generate()
            for name, option in self.options().items()
            if option.generate is not None
        }
        labels = {self.options()[name].label: value for name, value in values.items()}
        return replace(self, **values), labels

    def with_secrets_of(self, stored: Self) -> Self:
        """Return the options with the stored secrets in place of empty ones.

        A secret is never sent to another server than the one that it was entered for.

        raises  InvalidRequest
        """
        values = {
            name: secret
            for name, secret in stored.secrets().items()
            if secret and not getattr(self, name)
        }
        label = self.normalized().changed_bound_option(stored)
        sent = [name for name in values if name in self.entered() and self.uses(name)]
        if label is not None and sent:
            message = f"Enter it again, because this has changed: {label}"
            raise InvalidRequest.field(sent[0], message)
        return replace(self, **values)

    def changed_bound_option(self, other: "Options") -> str | None:
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


def _invalid(errors: Sequence[OptionError]) -> InvalidRequest:
    return InvalidRequest(
        [{"field": name, "code": "invalid", "message": message} for name, message in errors]
    )
