"""What the commands for mailboxes and for sinks share: pause, resume and remove one by its id."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import click

from app import ids
from app.cli.base import ACCOUNT, OPERATOR, YES, Commands, confirm
from app.errors import NotFound
from app.services.accounts import accounts


class Service(Protocol):
    """The functions of a service for mailboxes or sinks; each raises NotFound."""

    def find(self, account_id: UUID, id: UUID, /) -> Any:
        """Return the row."""

    def pause(self, account_id: UUID, id: UUID, /, *, actor: str) -> Any:
        """Pause it."""

    def resume(self, account_id: UUID, id: UUID, /, *, actor: str) -> Any:
        """Resume it."""

    def remove(self, account_id: UUID, id: UUID, /, *, actor: str) -> None:
        """Delete it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Managed:
    """Mailboxes or sinks.

    group    their commands
    noun     what one of them is called, in lower case
    prefix   of their public ids
    name_of  returns the name of one, which confirms that it is to be deleted
    type_of  returns the name of its type
    paused, resumed, removed  what happens then, as a sentence
    """

    group: Commands
    noun: str
    prefix: str
    service: Service
    name_of: Callable[[Any], str]
    type_of: Callable[[Any], str]
    paused: str
    resumed: str
    removed: str

    def find(self, account: str, public_id: str) -> Any:
        """Return the row of a public id; raises ClickException."""
        account_id = accounts.find(account).id
        with self.expected(public_id):
            return self.service.find(account_id, self.parse_id(public_id))

    def parse_id(self, public_id: str) -> UUID:
        """Return the id of a public id; raises BadParameter."""
        parsed = ids.parse(self.prefix, public_id)
        if parsed is None:
            raise click.BadParameter(f"expected format: {self.prefix}_…")
        return parsed

    @contextmanager
    def expected(self, public_id: str) -> Iterator[None]:
        """Say in the error that it does not exist."""
        try:
            yield
        except NotFound:
            hint = f"List them with: flask {self.group.name} list --account NAME"
            raise click.ClickException(f"Not found: {self.noun} {public_id}. {hint}") from None

    def described(self, row: Any) -> str:
        """Return the row for people, as the beginning of a sentence."""
        public_id = ids.public(self.prefix, row.id)
        return f"{self.noun.capitalize()} {public_id} ({self.type_of(row)}, {self.name_of(row)})"


def add_commands(managed: Managed) -> None:
    """Add the commands ``pause``, ``resume`` and ``remove`` to the group."""
    noun, group, service = managed.noun, managed.group, managed.service
    id_argument = click.argument("public_id", metavar=f"{noun.upper()}_ID")

    @group.command("pause", help=f"Pause a {noun} until it is resumed.")
    @ACCOUNT
    @id_argument
    def pause(account: str, public_id: str) -> None:
        row = managed.find(account, public_id)
        service.pause(row.account_id, row.id, actor=OPERATOR)
        print(f"{managed.described(row)} is paused. {managed.paused}")
        print(f"Resume it with: flask {group.name} resume --account {account} {public_id}")

    @group.command("resume", help=f"Resume a paused {noun}; retry a failing one immediately.")
    @ACCOUNT
    @id_argument
    def resume(account: str, public_id: str) -> None:
        row = managed.find(account, public_id)
        service.resume(row.account_id, row.id, actor=OPERATOR)
        print(f"{managed.described(row)} is active. {managed.resumed}")
        print(f"Pause it with: flask {group.name} pause --account {account} {public_id}")

    @group.command("remove", help=f"Delete a {noun} with its secrets.")
    @ACCOUNT
    @YES
    @id_argument
    def remove(account: str, public_id: str, yes: bool) -> None:
        row = managed.find(account, public_id)
        print(f"{managed.described(row)} will be deleted. {managed.removed}")
        if not yes:
            pause = f"flask {group.name} pause --account {account} {public_id}"
            print(f"To stop it for a while instead, use: {pause}")
        confirm(managed.name_of(row), yes)
        service.remove(row.account_id, row.id, actor=OPERATOR)
        print(f"{managed.described(row)} was deleted.")
