"""An account with a domain, channels and a webhook receiver."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy.engine import Engine

from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.models import Channel, Domain
from app.rules.engine.types import AlertDraft
from app.services.alerts import transitions
from app.services.alerts.transitions import Sighting
from app.services.notifications import channels
from app.services.notifications.channels import NewChannel
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LOOPBACK, LoopbackNetwork, Receiver, receiving
from tests.support.smtp_server import Inbox, open_inbox


@pytest.fixture
def receiver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(tmp_path) as started:
        monkeypatch.setenv("SSL_CERT_FILE", str(started.ca_file))
        yield started


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """The mailboxes of a running mail server."""
    with open_inbox() as inbox:
        yield inbox


@pytest.fixture
def settings(settings: Settings, receiver: Receiver) -> Settings:
    """Settings that allow webhooks to loopback and retry immediately."""
    return settings.replace(
        egress_allow_cidrs=LOOPBACK,
        egress_ports=(443, receiver.port),
        delivery_schedule=(0.0,) * 10,
    )


@pytest.fixture
def network() -> LoopbackNetwork:
    return LoopbackNetwork()


@pytest.fixture
def account_id(database: Engine) -> UUID:
    return make_account().id


@pytest.fixture
def domain(account_id: UUID) -> Domain:
    return make_domain(account_id, "acme.test", tags=["shop"])


@pytest.fixture
def webhook(
    account_id: UUID, receiver: Receiver, network: LoopbackNetwork
) -> tuple[Channel, str | None]:
    """A channel to the receiver, and its secret."""
    return channels.add(
        account_id, NewChannel("hook", "webhook", receiver.url), network, actor=ACTOR
    )


@pytest.fixture
def open_alert(domain: Domain) -> OpenAlert:
    """Opens an alert of the domain, as a scan does."""

    def opened(type: str = "spf.missing", severity: Severity = Severity.HIGH) -> UUID:
        draft = AlertDraft(
            type=type,
            subject=domain.name,
            severity=severity,
            title="No SPF record",
            message="acme.test: no SPF record",
        )
        with transaction() as session:
            (alert_id,) = transitions.open_alert(
                session, domain, [draft], Sighting(datetime.now(UTC))
            )
        return alert_id

    return opened
