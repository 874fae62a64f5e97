"""Recipients of email channels: nothing but a confirmation email before the person confirms."""

import re
from collections.abc import Iterator
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
from app.services.core import emails
from app.services.notifications import channels, dispatcher, recipients
from app.settings import Settings
from tests.support.factories import (
    ACTOR,
    add_email_channel,
    confirm_recipients,
    make_account,
    make_app,
)
from tests.support.open_alert import OpenAlert
from tests.support.receivers import ReachingDoor
from tests.support.smtp_server import Inbox, open_inbox

ANNA, BORIS = "anna@acme.test", "boris@acme.test"
BASE_URL = "https://watch.test"


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with open_inbox() as inbox:
        yield inbox


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
    found = re.search(rf"{BASE_URL}(/notifications/{page}/\S+)", body.get_content())
    assert found is not None
    return found[1]


def statuses(account_id: UUID, channel: Channel) -> dict[str, str]:
    return {row.address: row.status for row in recipients.search(account_id, channel.id)}


def test_nothing_but_one_confirmation_email_is_sent_before_the_person_confirms(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, door: ReachingDoor
) -> None:
    channel = add(account_id)
    open_alert()
    dispatcher.run(door)
    emails.send_due()
    with pytest.raises(InvalidRequest):
        channels.test(account_id, "ops", actor=ACTOR)
    assert [m["Subject"] for m in inbox.to(ANNA)] == ["Confirm that you want to receive alerts"]
    assert channels.target_error(channel) == recipients.NONE_CONFIRMED
    assert dispatcher.log(account_id, "ops")[0].delivery.status == "skipped"


def test_a_person_confirms_by_a_button_and_not_by_following_the_link(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, door: ReachingDoor, client: FlaskClient
) -> None:
    channel = add(account_id, f"{ANNA},{BORIS}")
    emails.send_due()
    path = link(inbox, ANNA)
    for _ in range(3):  # as programs do that look for malware behind links
        assert "<button>Confirm alerts</button>" in client.get(path).text
    assert statuses(account_id, channel) == {ANNA: "pending", BORIS: "pending"}
    assert "Confirmed" in client.post(path).text
    assert statuses(account_id, channel) == {ANNA: "confirmed", BORIS: "pending"}
    open_alert()
    dispatcher.run(door)
    assert len(inbox.to(ANNA)) == 2
    assert len(inbox.to(BORIS)) == 1


def test_a_link_is_stored_as_a_hash_and_expires_and_is_replaced_by_the_next(
    account_id: UUID, inbox: Inbox, client: FlaskClient
) -> None:
    channel = add(account_id)
    emails.send_due()
    first = link(inbox, ANNA)
    (row,) = recipients.search(account_id, channel.id)
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


def test_every_email_has_a_link_that_unsubscribes_with_one_click_and_without_signing_in(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, door: ReachingDoor, client: FlaskClient
) -> None:
    channel = add(account_id, f"{ANNA},{BORIS}")
    confirm_recipients(account_id)
    open_alert()
    dispatcher.run(door)
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
    dispatcher.run(door)
    assert (len(inbox.to(ANNA)), len(inbox.to(BORIS))) == (1, 2)


def test_an_unsubscribe_link_cannot_be_made_up(account_id: UUID, client: FlaskClient) -> None:
    channel = add(account_id)
    (row,) = recipients.search(account_id, channel.id)
    for token in ("x", row.id.hex, f"{row.id.hex}.", f"{row.id.hex}.{'0' * 32}", f"{'0' * 32}.é"):
        assert client.post(f"/notifications/unsubscribe/{token}").status_code == 404, token
    assert statuses(account_id, channel) == {ANNA: "pending"}


def test_who_unsubscribed_cannot_be_confirmed_or_sent_another_confirmation(
    account_id: UUID, inbox: Inbox, client: FlaskClient
) -> None:
    channel = add(account_id)
    emails.send_due()
    assert client.post(link(inbox, ANNA, "unsubscribe")).status_code == 200
    assert client.post(link(inbox, ANNA)).status_code == 404
    (row,) = recipients.search(account_id, channel.id)
    with pytest.raises(NotFound):
        recipients.resend(account_id, channel.id, row.id, actor=ACTOR)


def test_one_address_is_sent_few_confirmations_a_day_by_all_accounts_together(
    database: Engine,
) -> None:
    for _ in range(recipients.MAX_EMAILS_PER_ADDRESS):
        add(make_account().id)
    account_id = make_account().id
    with pytest.raises(InvalidRequest):
        add(account_id, ANNA.upper())
    assert channels.search(account_id) == []


def test_one_account_sends_few_confirmations_an_hour(account_id: UUID) -> None:
    add(account_id, ",".join(f"a{n}@acme.test" for n in range(20)))
    with pytest.raises(QuotaExceeded):
        add(account_id, BORIS, "more")


def test_a_channel_is_tested_five_times_an_hour(account_id: UUID) -> None:
    add(account_id)
    add(account_id, BORIS, "other")
    confirm_recipients(account_id)
    for _ in range(channels.MAX_TESTS):
        channels.test(account_id, "ops", actor=ACTOR)
    with pytest.raises(QuotaExceeded):
        channels.test(account_id, "ops", actor=ACTOR)
    channels.test(account_id, "other", actor=ACTOR)


def test_a_recipient_that_is_refused_does_not_make_others_get_an_email_twice(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, door: ReachingDoor
) -> None:
    add(account_id, f"{ANNA},{BORIS}")
    confirm_recipients(account_id)
    inbox.refused = {ANNA}
    open_alert()
    dispatcher.run(door)
    assert len(inbox.to(BORIS)) == 1
    entry = dispatcher.log(account_id, "ops")[0].delivery
    assert (entry.status, entry.attempts) == ("dead", 3)
    assert len(entry.delivered_to or ()) == 1
    inbox.refused = set()
    dispatcher.replay(account_id, "ops", actor=ACTOR)
    dispatcher.run(door)
    assert (len(inbox.to(ANNA)), len(inbox.to(BORIS))) == (1, 1)


def test_pending_recipients_of_older_channels_are_sent_their_confirmation(
    account_id: UUID, inbox: Inbox
) -> None:
    add(account_id)
    with transaction() as session:
        session.execute(update(ChannelRecipient).values(digest=None, requested_at=None))
    assert recipients.request_missing() == 1
    assert recipients.request_missing() == 0
    emails.send_due()
    assert len(inbox.to(ANNA)) == 2


def test_recipients_go_with_their_channel(account_id: UUID) -> None:
    channel = add(account_id)
    channels.remove(account_id, "ops", actor=ACTOR)
    assert recipients.search(account_id, channel.id) == []
