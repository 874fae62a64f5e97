"""The commands about people who sign in."""

import getpass

import click
from flask import Flask

from app import ids
from app.cli.base import OPERATOR, Commands, confirm, print_json
from app.models.accounts import ROLES
from app.services.accounts import accounts, credentials, users

users_group = Commands("users", help="The people who sign in.")

_ASK = click.option("--ask-password", is_flag=True, help="Type the password at a prompt.")


def init_app(app: Flask) -> None:
    """Add the commands to ``flask``."""
    app.cli.add_command(users_group)


@users_group.command("create")
@click.option("--account", required=True, help="Its name or id.")
@click.option("--email", required=True)
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True)
@_ASK
def create(account: str, email: str, role: str, ask_password: bool) -> None:
    """Create a user; a generated password is printed once."""
    password = getpass.getpass("Password: ") if ask_password else None
    user, made = accounts.add_user(account, email, role=role, password=password, actor=OPERATOR)
    print(f"{user.email}  {role}")
    if password is None:
        print(f"password (shown once): {made}")


@users_group.command("list")
@click.option("--account", help="Its name or id; all accounts without.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_users(account: str | None, as_json: bool) -> None:
    """List users."""
    rows = users.search(account)
    if as_json:
        print_json(
            [
                {
                    "id": ids.public("usr", row.id),
                    "email": row.email,
                    "role": row.role,
                    "account": row.account_name,
                    "twoFactor": row.has_two_factor,
                    "createdAt": row.created_at.isoformat(),
                    "disabledAt": row.disabled_at and row.disabled_at.isoformat(),
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        state = "disabled" if row.disabled_at else "active"
        factor = "two-factor" if row.has_two_factor else "password only"
        print(row.email, row.role, state, factor, row.account_name, sep="  ")


@users_group.command("disable")
@click.argument("person", metavar="EMAIL")
def disable(person: str) -> None:
    """Refuse sign-ins from now on, and end all sessions."""
    done = users.disable(person, actor=OPERATOR)
    print(f"{person} is disabled; sessions ended: {done.sessions}")
    if done.api_keys:
        print(f"  API keys that this person created and that still work: {done.api_keys}")


@users_group.command("enable")
@click.argument("person", metavar="EMAIL")
def enable(person: str) -> None:
    """Undo disable."""
    users.enable(person, actor=OPERATOR)


@users_group.command("reset-password")
@click.argument("person", metavar="EMAIL")
@_ASK
def reset_password(person: str, ask_password: bool) -> None:
    """Set a new password and end all sessions; a generated password is printed once."""
    password = getpass.getpass("Password: ") if ask_password else None
    made = users.reset_password(person, password, actor=OPERATOR)
    if password is None:
        print(f"password (shown once): {made}")


@users_group.command("delete")
@click.argument("person", metavar="EMAIL")
@click.option("--yes", is_flag=True, help="Don't ask for the address.")
def delete(person: str, yes: bool) -> None:
    """Delete a user; only the audit log keeps the address."""
    confirm(person, yes)
    users.delete(person, actor=OPERATOR)
    print(f"{person} is deleted")


@users_group.command("reset-second-factor")
@click.argument("person", metavar="EMAIL")
def reset_second_factor(person: str) -> None:
    """Let in by the password alone who has lost the phone and the recovery codes."""
    done = credentials.reset_second_factor(person, actor=OPERATOR)
    print(f"{done.email} of {done.account_name}")
    print(f"  the second factor is off; unused recovery codes forgotten: {done.codes}")
    print(f"  sessions ended: {done.sessions}")
    print("  the password is as it was; a new second factor is turned on in Settings, Security")
