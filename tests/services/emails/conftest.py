"""An account, and a mail server for emails to people."""

from collections.abc import Iterator
from uuid import UUID

import pytest
from sqlalchemy.engine import Engine

from app.settings import Settings
from tests.support.factories import make_account
from tests.support.receivers import LOOPBACK, LoopbackNetwork
from tests.support.smtp_server import Inbox, open_inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """The mailboxes of a running mail server."""
    with open_inbox() as inbox:
        yield inbox


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with that mail server, whose messages are retried immediately."""
    return settings.replace(
        smtp_url=inbox.url,
        mail_from="Watch <w@watch.test>",
        egress_allow_cidrs=LOOPBACK,
        delivery_schedule=(0.0,) * 10,
    )


@pytest.fixture
def network() -> LoopbackNetwork:
    return LoopbackNetwork()


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account().id
