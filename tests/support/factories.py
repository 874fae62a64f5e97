"""Functions that create rows for tests through the services, with valid defaults."""

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import Flask
from sqlalchemy import insert, update
from sqlalchemy.engine import Engine

from app import create_app
from app.db import transactions
from app.models import Account, ApiKey, Channel, ChannelRecipient, Domain, Scan
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.api_keys import api_keys
from app.services.domains import domains
from app.services.notifications import channels
from app.services.notifications.channels import NewChannel
from app.services.scans import scans
from app.settings import Settings
from tests.support.zones import Zone, ZoneNetwork

ACTOR = "key:test"
_numbers = itertools.count(1)


def make_app(database: Engine, settings: Settings, zone: Zone | None = None) -> Flask:
    """The complete application on the test's database, with this zone for DNS."""
    return create_app(settings, ZoneNetwork(zone or Zone({})), database)


def make_account(name: str | None = None) -> Account:
    """Create an account."""
    return accounts.create(name or f"account {next(_numbers)}")


def make_key(
    account_id: UUID, scopes: Sequence[Scope] = tuple(Scope), **options: Any
) -> tuple[ApiKey, str]:
    """A key with every scope, and the token."""
    return api_keys.issue(account_id, api_keys.NewKey("test", scopes, **options), actor=ACTOR)


def make_domain(account_id: UUID, name: str | None = None, **options: Any) -> Domain:
    """A domain below ``.test``, which the tests' settings allow."""
    new = domains.NewDomain(name or f"d{next(_numbers)}.test", **options)
    return domains.create(account_id, new, actor=ACTOR)


def make_domains(account_id: UUID, count: int) -> None:
    """Many domains, inserted at once."""
    rows = [{"account_id": account_id, "name": f"many{number}.test"} for number in range(count)]
    with transactions.transaction() as session:
        session.execute(insert(Domain), rows)


def make_scan(account_id: UUID, ref: str) -> Scan:
    """A queued scan of the domain."""
    return scans.trigger(account_id, ref, actor=ACTOR).scan


def add_email_channel(
    account_id: UUID, name: str, addresses: str, *, actor: str = ACTOR, **options: Any
) -> Channel:
    """An email channel whose recipients have not confirmed."""
    new = NewChannel(name, "email", addresses, **options)
    return channels.add(account_id, new, ZoneNetwork(Zone({})), actor=actor)[0]


def confirm_recipients(account_id: UUID) -> None:
    """Confirm every recipient of the account's email channels."""
    with transactions.transaction() as session:
        session.execute(
            update(ChannelRecipient)
            .where(ChannelRecipient.account_id == account_id)
            .values(status="confirmed", confirmed_at=transactions.now(session))
        )
