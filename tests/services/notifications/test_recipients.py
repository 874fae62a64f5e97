"""Recipients of email channels get only a confirmation email until they confirm."""

import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import update
from sqlalchemy.engine import Engine

from app.db.transactions import now, transaction
from app.errors import InvalidRequest, NotFound, QuotaExceeded
from app.models import Channel, ChannelRecipient
from app.services.emails import emails
from app.services.notifications import channel_pages, channels, dispatcher, recipients
from app.settings import Settings
from tests.support.factories import (
    ACTOR,
    add_email_channel,
    confirm_recipients,
    make_account,
    make_app,
)
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork
from tests.support.smtp_server import Inbox

ANNA, BORIS = "anna@acme.test", "boris@acme.test"
BASE_URL = "https://watch.test"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    return settings.replace(
        smtp_url=inbox.url,
        mail_from="Watch <w@watch.test>",
        base_url=BASE_URL,
        delivery_schedule=(0.0,) * 3,
    )


@pytest.fixture
def client(database: Engine, settings: Settings) -> FlaskClient:
    """A visitor who is not signed in."""
    app: Flask = make_app(database, settings)
    return app.test_client()


def add(account_id: UUID, addresses: str = ANNA, name: str = "ops") -> Channel:
    return add_email_channel(account_id, name, addresses)


def link(inbox: Inbox, address: str, page: str = "confirm") -> str:
    """The path in the last email to the address."""
    body = inbox.to(address)[-1].get_body(("plain",))
    assert body is not None
    match = re.search(rf"{BASE_URL}(/notifications/{page}/\S+)", body.get_content())
    assert match is not None
    return match[1]


def statuses(account_id: UUID, channel: Channel) -> dict[str, str]:
    return {row.address: row.status for row in rows_of(account_id, channel)}


def rows_of(account_id: UUID, channel: Channel) -> Sequence[ChannelRecipient]:
    return channel_pages.find(account_id, channel.name).recipients


def test_only_one_confirmation_email_is_sent_before_confirmation(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    channel = add(account_id)
    open_alert()
    dispatcher.run(network)
    emails.send_due()
    with pytest.raises(InvalidRequest):
        channels.test(account_id, "ops", actor=ACTOR)
    assert [m["Subject"] for m in inbox.to(ANNA)] == ["Confirm that you want to receive alerts"]
    assert channel_pages.find(account_id, channel.name).problem == recipients.NONE_CONFIRMED
    assert dispatcher.log(account_id, "ops")[0].delivery.status == "skipped"


def test_confirmation_requires_the_button_and_not_only_the_link(
    account_id: UUID,
    open_alert: OpenAlert,
    inbox: Inbox,
    network: LoopbackNetwork,
    client: FlaskClient,
) -> None:
    channel = add(account_id, f"{ANNA},{BORIS}")
    emails.send_due()
    path = link(inbox, ANNA)
    for _ in range(3):  # as programs do that look for malware behind links
        assert "<button>Confirm alerts</button>" in client.get(path).text
    assert statuses(account_id, channel) == {ANNA: "pending", BORIS: "pending"}
    assert "Confirmed" in client.post(path, follow_redirects=True).text
    assert statuses(account_id, channel) == {ANNA: "confirmed", BORIS: "pending"}
    open_alert()
    dispatcher.run(network)
    assert len(inbox.to(ANNA)) == 2
    assert len(inbox.to(BORIS)) == 1


def test_confirmation_link_is_stored_as_a_hash_expires_and_is_replaced(
    account_id: UUID, inbox: Inbox, client: FlaskClient
) -> None:
    channel = add(account_id)
    emails.send_due()
    first = link(inbox, ANNA)
    (row,) = rows_of(account_id, channel)
    assert row.digest is not None
    assert row.digest not in first
    recipients.resend(account_id, channel.id, row.id, actor=ACTOR)
    emails.send_due()
    assert client.post(first).status_code == 404
    second = link(inbox, ANNA)
    with transaction() as session:
        old = now(session) - recipients.EXPIRY - timedelta(minutes=1)
        session.execute(update(ChannelRecipient).values(requested_at=old))
    assert client.post(second).status_code == 404
    assert statuses(account_id, channel) == {ANNA: "pending"}


def test_every_email_has_a_one_click_unsubscribe_link(
    account_id: UUID,
    open_alert: OpenAlert,
    inbox: Inbox,
    network: LoopbackNetwork,
    client: FlaskClient,
) -> None:
    channel = add(account_id, f"{ANNA},{BORIS}")
    confirm_recipients(account_id)
    open_alert()
    dispatcher.run(network)
    (message,) = inbox.to(ANNA)
    assert message["To"] == ANNA
    path = link(inbox, ANNA, "unsubscribe")
    assert message["List-Unsubscribe"] == f"<{BASE_URL}{path}>"
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    html = message.get_body(("html",))
    assert html is not None
    assert f'href="{BASE_URL}{path}"' in html.get_content()
    assert "<button>Unsubscribe</button>" in client.get(path).text
    assert statuses(account_id, channel)[ANNA] == "confirmed"
    response = client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert (response.status_code, "Unsubscribed" in response.text) == (200, True)
    assert statuses(account_id, channel) == {ANNA: "unsubscribed", BORIS: "confirmed"}
    open_alert("dmarc.missing")
    dispatcher.run(network)
    assert (len(inbox.to(ANNA)), len(inbox.to(BORIS))) == (1, 2)


def test_forged_unsubscribe_link_is_refused(account_id: UUID, client: FlaskClient) -> None:
    channel = add(account_id)
    (row,) = rows_of(account_id, channel)
    for token in ("x", row.id.hex, f"{row.id.hex}.", f"{row.id.hex}.{'0' * 32}", f"{'0' * 32}.é"):
        assert client.post(f"/notifications/unsubscribe/{token}").status_code == 404, token
    assert statuses(account_id, channel) == {ANNA: "pending"}


def test_unsubscribed_recipient_gets_no_further_confirmation(
    account_id: UUID, inbox: Inbox, client: FlaskClient
) -> None:
    channel = add(account_id)
    emails.send_due()
    assert client.post(link(inbox, ANNA, "unsubscribe")).status_code == 303
    assert client.post(link(inbox, ANNA)).status_code == 404
    (row,) = rows_of(account_id, channel)
    with pytest.raises(NotFound):
        recipients.resend(account_id, channel.id, row.id, actor=ACTOR)


def test_confirmations_to_one_address_are_limited_per_day_over_all_accounts(
    database: Engine,
) -> None:
    for _ in range(recipients.MAX_EMAILS_PER_ADDRESS):
        add(make_account().id)
    account_id = make_account().id
    with pytest.raises(InvalidRequest):
        add(account_id, ANNA.upper())
    assert channel_pages.listing(account_id) == []


def test_confirmations_of_one_account_are_limited_per_hour(account_id: UUID) -> None:
    add(account_id, ",".join(f"a{n}@acme.test" for n in range(20)))
    with pytest.raises(QuotaExceeded):
        add(account_id, BORIS, "more")


def test_channel_tests_are_limited_to_five_per_hour(account_id: UUID) -> None:
    add(account_id)
    add(account_id, BORIS, "other")
    confirm_recipients(account_id)
    for _ in range(channels.MAX_TESTS):
        channels.test(account_id, "ops", actor=ACTOR)
    with pytest.raises(QuotaExceeded):
        channels.test(account_id, "ops", actor=ACTOR)
    channels.test(account_id, "other", actor=ACTOR)


def test_refused_recipient_does_not_cause_duplicates_for_others(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    add(account_id, f"{ANNA},{BORIS}")
    confirm_recipients(account_id)
    inbox.refused = {ANNA}
    open_alert()
    dispatcher.run(network)
    assert len(inbox.to(BORIS)) == 1
    entry = dispatcher.log(account_id, "ops")[0].delivery
    assert (entry.status, entry.attempts) == ("dead", 3)
    assert len(entry.delivered_to or ()) == 1
    inbox.refused = set()
    dispatcher.replay(account_id, "ops", actor=ACTOR)
    dispatcher.run(network)
    assert (len(inbox.to(ANNA)), len(inbox.to(BORIS))) == (1, 1)


def test_pending_recipients_of_older_channels_get_a_confirmation(
    account_id: UUID, inbox: Inbox
) -> None:
    add(account_id)
    with transaction() as session:
        session.execute(update(ChannelRecipient).values(digest=None, requested_at=None))
    assert recipients.request_missing() == 1
    assert recipients.request_missing() == 0
    emails.send_due()
    assert len(inbox.to(ANNA)) == 2


def test_deleting_a_channel_deletes_its_recipients(account_id: UUID) -> None:
    channel = add(account_id)
    channels.remove(account_id, "ops", actor=ACTOR)
    with transaction(readonly=True) as session:
        assert recipients.of_channel(session, channel.id) == []
