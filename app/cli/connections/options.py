"""The options of types of mailboxes and sinks as options of commands.

Secrets are prompted for: other users of the machine can read the arguments of a process. The text
of a long option is read from a file.
"""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import click

from app.options.fields import Option, default_of
from app.options.schema import Options

T = TypeVar("T", bound=Options)
MAX_FILE_BYTES = 1024 * 1024


Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def type_options(types: Mapping[str, type[Options]]) -> Decorator:
    """Return a decorator that adds the options of all types to a command."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        for name, uses in reversed(list(_uses(types).items())):
            option = next(iter(uses.values()))
            if option.is_secret:
                continue
            text = f"{option.label} ({', '.join(uses)})."
            if option.is_long:
                path = click.Path(exists=True, dir_okay=False, path_type=Path)
                command = click.option(_flag(option, name), name, type=path, help=text)(command)
            else:
                choices = {choice for use in uses.values() for choice in use.choices or ()}
                kind = click.Choice(sorted(choices)) if choices else None
                command = click.option(_flag(option, name), name, type=kind, help=text)(command)
        return command

    return decorate


def new(types: Mapping[str, type[T]], type_name: str, options: Mapping[str, Any]) -> T:
    """Return the options of a new mailbox or sink, after prompts for its secrets.

    raises  UsageError; InvalidRequest
    """
    config_type = types[type_name]
    texts = _texts(types, config_type, options)
    for name, option in config_type.entered().items():
        has_default = default_of(config_type.fields()[name]) not in ("", None)
        if option.is_required and not (option.is_secret or has_default or name in texts):
            raise click.UsageError(f"Missing option '{_flag(option, name)}'.")
    config = config_type.parsed(texts)
    config.checked(requires_secrets=False)
    return config_type.parsed(texts | _prompted(config)).checked()


def changed(
    types: Mapping[str, type[T]], stored: T, options: Mapping[str, Any], *, has_new_secrets: bool
) -> T:
    """Return the stored options with those that were given; "" clears one.

    Stored secrets are only kept for the same server.

    raises  UsageError; InvalidRequest
    """
    config_type = type(stored)
    texts = {name: "" if v is None else str(v) for name, v in stored.public().items()}
    texts |= _texts(types, config_type, options)
    if has_new_secrets:
        texts |= _prompted(config_type.parsed(texts))
    return config_type.parsed(texts).with_secrets_of(stored).checked()


def print_types(types: Iterable[Any]) -> None:
    """Print the types with their options."""
    for config_type in types:
        print(f"{config_type.type}  {config_type.description}")
        for name, option in config_type.entered().items():
            notes = [option.title, ", ".join(option.choices or ())]
            notes.append("prompted" if option.is_secret else option.hint.rstrip("."))
            print(f"  {_flag(option, name):24}  {'; '.join(filter(None, notes))}")


def _uses(types: Mapping[str, type[Options]]) -> Mapping[str, Mapping[str, Option]]:
    """Return the options of all types by name, each by the types that have it."""
    uses: dict[str, dict[str, Option]] = {}
    for type_name, config_type in types.items():
        for name, option in config_type.entered().items():
            uses.setdefault(name, {})[type_name] = option
    return uses


def _flag(option: Option, name: str) -> str:
    suffix = "-file" if option.is_long else ""
    return f"--{name.replace('_', '-')}{suffix}"


def _texts(
    types: Mapping[str, type[Options]], config_type: type[Options], options: Mapping[str, Any]
) -> dict[str, str]:
    """Return the options of a type that were given, by name; raises UsageError."""
    texts = {}
    for name, uses in _uses(types).items():
        value = options.get(name)
        if value is None:
            continue
        if name not in config_type.entered():
            flag = _flag(next(iter(uses.values())), name)
            raise click.UsageError(f"{flag} is not an option of this type.")
        texts[name] = _content(value) if isinstance(value, Path) else value
    return texts


def _content(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError):
        raise click.ClickException(f"{path} cannot be read as text") from None
    if len(content) > MAX_FILE_BYTES:
        raise click.ClickException(f"{path} is larger than {MAX_FILE_BYTES // 1024} KiB")
    return text


def _prompted(config: Options) -> dict[str, str]:
    """Return the secrets that a person typed, without those that these options do not use."""
    return {
        name: _prompt(option)
        for name, option in config.entered().items()
        if option.is_secret and config.uses(name)
    }


def _prompt(option: Option) -> str:
    """Return a secret that was typed; it may be empty if the options do not need it."""
    is_needed = option.is_required or bool(option.needed_with)
    default = "" if option.is_used_otherwise or not is_needed else None
    secret: str = click.prompt(option.label, hide_input=True, default=default, show_default=False)
    return secret
