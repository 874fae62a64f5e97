"""The ``flask users`` commands: the people who can sign in."""

import getpass

import click
from flask import Flask

from app import ids
from app.cli.base import JSON, OPERATOR, YES, Commands, confirm, iso, print_json
from app.models.accounts import ROLES
from app.services.accounts import accounts
from app.services.people import users
from app.services.sign_in import credentials

users_group = Commands("users", help="Manage users.")

_ASK_PASSWORD = click.option("--ask-password", is_flag=True, help="Prompt for the password.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(users_group)


@users_group.command("create")
@click.option("--account", required=True, help="Name or id of the account.")
@click.option("--email", required=True)
@click.option("--role", type=click.Choice(ROLES), default="admin", show_default=True)
@_ASK_PASSWORD
def create(account: str, email: str, role: str, ask_password: bool) -> None:
    """Create a user. A generated password is shown only once."""
    password = getpass.getpass("Password: ") if ask_password else None
    user, new_password = accounts.add_user(
        account, email, role=role, password=password, actor=OPERATOR
    )
    print(f"{user.email}  {role}")
    if password is None:
        print(f"password (shown only once): {new_password}")


@users_group.command("list")
@click.option("--account", help="Name or id of the account; default: all accounts.")
@JSON
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
                    "createdAt": iso(row.created_at),
                    "disabledAt": iso(row.disabled_at),
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        status = "disabled" if row.disabled_at else "active"
        factor = "two-factor" if row.has_two_factor else "password only"
        print(row.email, row.role, status, factor, row.account_name, sep="  ")


@users_group.command("disable")
@click.argument("person", metavar="EMAIL")
def disable(person: str) -> None:
    """Disable sign-in, and end all sessions."""
    result = users.disable(person, actor=OPERATOR)
    print(f"{person} is disabled; sessions ended: {result.sessions}")
    if result.api_keys:
        print(f"  API keys that this person created and are still valid: {result.api_keys}")


@users_group.command("enable")
@click.argument("person", metavar="EMAIL")
def enable(person: str) -> None:
    """Enable sign-in again."""
    users.enable(person, actor=OPERATOR)


@users_group.command("reset-password")
@click.argument("person", metavar="EMAIL")
@_ASK_PASSWORD
def reset_password(person: str, ask_password: bool) -> None:
    """Set a new password and end all sessions. A generated password is shown only once."""
    password = getpass.getpass("Password: ") if ask_password else None
    new_password = users.reset_password(person, password, actor=OPERATOR)
    if password is None:
        print(f"password (shown only once): {new_password}")


@users_group.command("delete")
@click.argument("person", metavar="EMAIL")
@YES
def delete(person: str, yes: bool) -> None:
    """Delete a user. Only the audit log keeps the email address."""
    confirm(person, yes)
    users.delete(person, actor=OPERATOR)
    print(f"Deleted {person}.")


@users_group.command("reset-second-factor")
@click.argument("person", metavar="EMAIL")
def reset_second_factor(person: str) -> None:
    """Reset two-factor authentication of a user who lost the phone and the recovery codes."""
    result = credentials.reset_second_factor(person, actor=OPERATOR)
    print(f"{result.email} in {result.account_name}")
    print(f"  two-factor authentication disabled; unused recovery codes deleted: {result.codes}")
    print(f"  sessions ended: {result.sessions}")
    print("  the password is unchanged; two-factor authentication is set up in Settings, Security")
