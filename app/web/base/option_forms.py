"""The forms of types of mailboxes and sinks, which are made from the options of the types."""

import functools
from types import new_class
from typing import Any, ClassVar, Self, TypeVar, cast

from wtforms import Field

from app.options.fields import Kind, Option, default_of
from app.options.schema import Options
from app.web.base.forms import (
    BaseForm,
    ChoiceField,
    LongTextField,
    SecretField,
    TextField,
)

_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}


class OptionForm(BaseForm):
    """The options of a type; empty secrets are those that are stored."""

    config_type: ClassVar[type[Options]]

    @property
    def first_name(self) -> str:
        """The name of the first option, next to which general errors are shown."""
        return next(iter(self.config_type.entered()))

    @property
    def groups(self) -> list[tuple[bool, list[tuple[Field, Option]]]]:
        """The fields with their options: those that are always shown, and the advanced ones."""
        fields = [(self[name], option) for name, option in self.config_type.entered().items()]
        groups = [
            (is_advanced, [item for item in fields if item[1].is_advanced is is_advanced])
            for is_advanced in (False, True)
        ]
        return [group for group in groups if group[1]]

    @property
    def has_advanced_errors(self) -> bool:
        """Whether an advanced field has an error."""
        return any(
            self[name].errors for name, o in self.config_type.entered().items() if o.is_advanced
        )

    def config(self) -> Any:
        """Return the options that were submitted.

        raises  InvalidRequest
        """
        texts = {name: self[name].data or "" for name in self.config_type.entered()}
        return self.config_type.parsed(texts).checked(requires_secrets=False)

    @classmethod
    def of_config(cls, config: Options, **values: Any) -> Self:
        """Return the form with stored options, without the secrets, and values of other fields."""
        texts = {name: "" if v is None else str(v) for name, v in config.public().items()}
        return cls(data={**texts, **values})


F = TypeVar("F", bound=OptionForm)


@functools.cache
def form_of(config_type: type[Options], base: type[F]) -> type[F]:
    """Return the form of a type; the base may have further fields."""
    attributes: dict[str, Any] = {"config_type": config_type}
    for name, option in config_type.entered().items():
        default = default_of(config_type.fields()[name])
        attributes[name] = _field(option, "" if default is None else str(default))
    name = f"{config_type.__name__}Form"
    form: Any = new_class(name, (base,), {}, lambda body: body.update(attributes))
    return cast("type[F]", form)


def _field(option: Option, default: str) -> Any:
    attributes: dict[str, Any] = {"maxlength": option.most}
    if option.choices is not None:
        return ChoiceField(option.title, option.choices, default=default)
    if option.is_secret:
        attributes["required"] = False
        return SecretField(option.title, "new-password", render_kw=attributes)
    attributes |= _PLAIN
    if option.placeholder:
        attributes["placeholder"] = option.placeholder
    if option.kind is Kind.NUMBER:
        attributes |= {"inputmode": "numeric", "maxlength": len(str(option.most))}
    elif option.is_required:
        attributes["required"] = True
    field_type = LongTextField if option.is_long else TextField
    return field_type(option.title, option.most, default=default, render_kw=attributes)


def details_of(config: Options) -> list[tuple[str, str]]:
    """Return the labels and values of options for people; without secrets and long texts."""
    values = config.public()
    return [
        (option.label, _shown(option, values[name]))
        for name, option in config.options().items()
        if not (option.is_secret or option.is_long) and values[name] not in ("", None)
    ]


def _shown(option: Option, value: Any) -> str:
    return option.choices.get(value, value) if option.choices is not None else str(value)
