"""The forms of mailbox types, which are made from the options of the types."""

import functools
from types import new_class
from typing import Any, ClassVar, Self, cast

from wtforms import Field

from app.errors import InvalidRequest
from app.mailboxes.config import MailboxConfig
from app.mailboxes.options import InvalidOptions, Kind, Option, default_of, option_of
from app.web.base.forms import BaseForm, ChoiceField, LongTextField, SecretField, TextField

_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}


class MailboxForm(BaseForm):
    """The options of a mailbox; empty secrets are those that are stored."""

    config_type: ClassVar[type[MailboxConfig]]

    @property
    def first_name(self) -> str:
        """The name of the first field, next to which general errors are shown."""
        return next(iter(self.config_type.options()))

    @property
    def groups(self) -> list[tuple[bool, list[tuple[Field, Option]]]]:
        """The fields with their options: those that are always shown, and the advanced ones."""
        fields = [(self[name], option) for name, option in self.config_type.options().items()]
        groups = [
            (is_advanced, [item for item in fields if item[1].is_advanced is is_advanced])
            for is_advanced in (False, True)
        ]
        return [group for group in groups if group[1]]

    @property
    def has_secrets(self) -> bool:
        """Whether the type has secrets."""
        return any(option.kind is Kind.SECRET for option in self.config_type.options().values())

    @property
    def has_advanced_errors(self) -> bool:
        """Whether an advanced field has an error."""
        return any(
            self[name].errors for name, o in self.config_type.options().items() if o.is_advanced
        )

    def config(self) -> MailboxConfig:
        """Return the options that were submitted.

        raises  InvalidRequest
        """
        try:
            texts = {name: self[name].data or "" for name in self.config_type.options()}
            return self.config_type.parsed(texts).checked(requires_secrets=False)
        except InvalidOptions as error:
            details = [
                {"field": e.field, "code": "invalid", "message": e.message} for e in error.errors
            ]
            raise InvalidRequest(details) from None

    @classmethod
    def of_config(cls, config: MailboxConfig) -> Self:
        """Return the form with the options of a mailbox, without its secrets."""
        values = config.public()
        return cls(data={name: "" if v is None else str(v) for name, v in values.items()})


@functools.cache
def form_of(config_type: type[MailboxConfig]) -> type[MailboxForm]:
    """Return the form of a mailbox type."""
    attributes: dict[str, Any] = {"config_type": config_type}
    for name, item in config_type.fields().items():
        default = default_of(item)
        attributes[name] = _field(option_of(item), "" if default is None else str(default))
    name = f"{config_type.__name__}Form"
    form: Any = new_class(name, (MailboxForm,), {}, lambda body: body.update(attributes))
    return cast("type[MailboxForm]", form)


def _field(option: Option, default: str) -> Any:
    attributes: dict[str, Any] = {"maxlength": option.most}
    if option.choices is not None:
        return ChoiceField(option.label, option.choices, default=default)
    if option.kind is Kind.SECRET:
        attributes["required"] = False
        return SecretField(option.label, "new-password", render_kw=attributes)
    attributes |= _PLAIN
    if option.placeholder:
        attributes["placeholder"] = option.placeholder
    if option.kind is Kind.NUMBER:
        attributes |= {"inputmode": "numeric", "maxlength": len(str(option.most))}
    elif option.is_required:
        attributes["required"] = True
    field_type = LongTextField if option.kind is Kind.LONG_TEXT else TextField
    return field_type(option.label, option.most, default=default, render_kw=attributes)


def details_of(config: MailboxConfig) -> list[tuple[str, str]]:
    """Return the labels and values of options for people; without secrets and long texts."""
    hidden = (Kind.SECRET, Kind.LONG_TEXT)
    values = config.public()
    return [
        (option.label.removesuffix(" (optional)"), _shown(option, values[name]))
        for name, option in config.options().items()
        if option.kind not in hidden and values[name] not in ("", None)
    ]


def _shown(option: Option, value: Any) -> str:
    return option.choices.get(value, value) if option.choices is not None else str(value)
