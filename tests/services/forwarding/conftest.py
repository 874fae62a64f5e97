"""An account with records of all kinds, and a receiver with a certificate of its own authority."""

from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.engine import Engine

from tests.support import stored_records
from tests.support.factories import make_account, make_domain
from tests.support.receivers import LoopbackNetwork, Receiver, receiving
from tests.support.stored_records import DOMAIN


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with receiving(tmp_path) as started:
        yield started


@pytest.fixture
def options(receiver: Receiver) -> dict[str, str]:
    """The options of a webhook to the receiver."""
    return {"url": receiver.url, "ca_certificates": receiver.ca_file.read_text()}


@pytest.fixture
def network() -> LoopbackNetwork:
    return LoopbackNetwork()


@pytest.fixture
def account_id(database: Engine) -> UUID:
    account = make_account()
    make_domain(account.id, DOMAIN)
    return account.id


@pytest.fixture
def stored_ids(account_id: UUID) -> list[str]:
    """The ids of the records that the account has."""
    stored_records.store_all_kinds(account_id)
    return stored_records.ids_of(stored_records.read_all(account_id))
