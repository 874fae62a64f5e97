"""Alert emails as a real mail server receives them."""

from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app import settings as app_settings
from app.channels import email, smtp
from app.channels.smtp import SmtpServer
from app.checks.engine.types import Severity
from app.db.transactions import now, transaction
from app.errors import InvalidRequest
from app.models import Alert, Channel, Delivery, Domain
from app.rules.engine.types import AlertDraft
from app.services.alerts import alerts, transitions
from app.services.alerts.alerts import AlertChange
from app.services.alerts.transitions import Sighting
from app.services.notifications import channel_pages, channels, dispatcher, feed
from app.settings import Settings
from tests.support import txt_edit
from tests.support.factories import ACTOR, add_email_channel, confirm_recipients
from tests.support.open_alert import OpenAlert
from tests.support.receivers import LoopbackNetwork
from tests.support.smtp_server import Inbox

TO = "ops@acme.test"


@pytest.fixture
def settings(settings: Settings, inbox: Inbox) -> Settings:
    """Settings with a mail server on this machine."""
    return settings.replace(smtp_url=inbox.url, mail_from="Watch <w@watch.test>")


def add(account_id: UUID, **options: Any) -> Channel:
    channel = add_email_channel(account_id, "ops", TO, **options)
    confirm_recipients(account_id)
    return channel


def parts(message: EmailMessage) -> tuple[str, str]:
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def log(account_id: UUID) -> list[Delivery]:
    with transaction(readonly=True) as session:
        statement = select(Delivery).where(Delivery.account_id == account_id)
        return list(session.scalars(statement.order_by(Delivery.event_number)))


def make_digest_due(account_id: UUID) -> None:
    """Make the digest due."""
    with transaction() as session:
        early = now(session) - timedelta(minutes=1)
        session.execute(update(Channel).values(digest_at=early))
        session.execute(update(Delivery).values(next_at=early))


def test_alert_is_emailed_as_text_and_html(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    add(account_id)
    open_alert()
    dispatcher.run(network)
    (message,) = inbox.messages
    assert message["Subject"] == "[high] No SPF record – acme.test"
    assert (message["From"], message["To"]) == ("Watch <w@watch.test>", TO)
    assert message["Auto-Submitted"] == "auto-generated"
    plain, html = parts(message)
    for text in (plain, html):
        assert "acme.test: no SPF record" in text
        assert "/docs/alerts#spf.missing" in text


def test_one_txt_edit_is_one_email_led_by_the_worst_alert(
    account_id: UUID, domain: Domain, inbox: Inbox, network: LoopbackNetwork
) -> None:
    txt_edit.scan(account_id, txt_edit.REJECT)
    add(account_id)
    txt_edit.scan(account_id, txt_edit.NONE)
    dispatcher.run(network)
    (message,) = inbox.messages
    assert message["Subject"].startswith("[critical] DMARC policy weakened – acme.test (+")
    for text in parts(message):
        assert txt_edit.REJECT in text
        assert "DMARC record changed in DNS" in text


def test_emails_about_one_alert_are_one_thread_and_sent_once(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    add(account_id)
    alert_id = open_alert()
    with transaction() as session:
        alert = session.get_one(Alert, alert_id)
        step = transitions.Transition("resolved", note="no longer so")
        transitions.transition(session, alert, step, now(session))
    dispatcher.run(network)
    dispatcher.run(network)
    opened, resolved = inbox.messages
    assert opened["References"] == resolved["References"]
    assert opened["Message-ID"] != resolved["Message-ID"]
    assert resolved["Subject"].startswith("[high] Resolved: ")


def test_changes_by_users_are_not_emailed(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    add(account_id)
    alerts.change(account_id, open_alert(), AlertChange("acknowledged"), actor=ACTOR)
    dispatcher.run(network)
    assert len(inbox.messages) == 1


def test_alert_text_cannot_inject_headers_or_markup(
    account_id: UUID, inbox: Inbox, network: LoopbackNetwork, domain: Any
) -> None:
    evil = "<script>alert(1)</script>\r\nBcc: all@evil.test"
    draft = AlertDraft(
        type="spf.missing",
        subject="x",
        severity=Severity.HIGH,
        title=evil,
        message=evil,
        evidence={"record": [evil]},
    )
    add(account_id)
    with transaction() as session:
        transitions.open_alert(session, domain, [draft], Sighting(datetime.now(UTC)))
    dispatcher.run(network)
    (message,) = inbox.messages
    assert message["Bcc"] is None
    assert inbox.recipients == [[TO]]
    assert "<script" not in parts(message)[1]


def test_email_channel_without_a_mail_server_reports_the_missing_setting(
    account_id: UUID, settings: Settings, open_alert: OpenAlert, network: LoopbackNetwork
) -> None:
    channel = add(account_id)
    assert channel_pages.find(account_id, channel.name).problem is None
    app_settings.use(settings.replace(smtp_url=None))
    assert channel_pages.find(account_id, channel.name).problem == smtp.NOT_SET
    open_alert()
    dispatcher.run(network)
    assert log(account_id)[0].error == smtp.NOT_SET


@pytest.mark.parametrize("answer", ["451 later", "550 no"])
def test_email_refused_by_the_server_is_retried(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork, answer: str
) -> None:
    inbox.answer = answer
    add(account_id)
    open_alert()
    dispatcher.run(network)
    (entry,) = log(account_id)
    assert (entry.status, entry.response_status) == ("dead", int(answer[:3]))
    assert entry.attempts == 10


def test_digest_combines_events_and_lists_the_most_severe_first(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    add(account_id, cadence="daily")
    open_alert("dmarc.missing", Severity.LOW)
    open_alert("spf.missing", Severity.CRITICAL)
    dispatcher.run(network)
    assert inbox.messages == []
    make_digest_due(account_id)
    dispatcher.run(network)
    (message,) = inbox.messages
    assert message["Subject"].startswith("2 problems, 0 resolved since ")
    plain, html = parts(message)
    for text in (plain, html):
        assert text.index("critical") < text.index("low")
    assert {entry.status for entry in log(account_id)} == {"delivered"}


def test_digest_without_problems_is_not_sent(
    account_id: UUID, open_alert: OpenAlert, inbox: Inbox, network: LoopbackNetwork
) -> None:
    alert_id = open_alert()
    feed.distribute_all()
    add(account_id, cadence="weekly")
    with transaction() as session:
        alert = session.get_one(Alert, alert_id)
        transitions.transition(session, alert, transitions.Transition("resolved"), now(session))
    feed.distribute_all()
    make_digest_due(account_id)
    dispatcher.run(network)
    assert inbox.messages == []
    assert [entry.status for entry in log(account_id)] == ["skipped"]


def test_test_event_of_a_digest_channel_is_sent_immediately(
    account_id: UUID, inbox: Inbox, network: LoopbackNetwork
) -> None:
    add(account_id, cadence="daily")
    channels.test(account_id, "ops", actor=ACTOR)
    dispatcher.run(network)
    assert [message["Subject"] for message in inbox.messages] == ["Test message from mailwatch"]


@pytest.mark.parametrize(
    "addresses",
    [
        "",
        "no-at-sign",
        "a@b",
        "a b@acme.test",
        "a@acme.test\r\nBcc: x@y.test",
        "A <a@acme.test>",
        ",".join(f"a{n}@acme.test" for n in range(21)),
        "ä@acme.test",
    ],
)
def test_invalid_email_address_is_refused(account_id: UUID, addresses: str) -> None:
    with pytest.raises(InvalidRequest):
        add_email_channel(account_id, "ops", addresses)


@pytest.mark.parametrize(
    ("url", "server"),
    [
        ("smtp://mail.test", SmtpServer("mail.test", 25, "auto")),
        ("smtp://mail.test:2525?starttls=off", SmtpServer("mail.test", 2525, "off")),
        (
            "smtp://u:p%40ss@mail.test",
            SmtpServer(host="mail.test", port=587, tls="required", user="u", password="p@ss"),
        ),
        (
            "smtps://u:p@mail.test",
            SmtpServer(host="mail.test", port=465, tls="implicit", user="u", password="p"),
        ),
    ],
)
def test_smtp_url_has_host_port_and_security(url: str, server: SmtpServer) -> None:
    assert smtp.parse_server(url) == server


def test_password_is_not_sent_to_a_server_without_tls(settings: Settings, inbox: Inbox) -> None:
    assert settings.smtp_url is not None
    server = smtp.parse_server(settings.smtp_url.replace("smtp://", "smtp://user:secret@"))
    event = {"id": "evt_x", "type": "test", "data": {}}
    with transaction(readonly=True) as session:
        message = email.EmailContent(
            sender="w@watch.test",
            recipient=TO,
            events=[event],
            at=now(session),
            base_url="https://watch.test",
            reason="reason",
            unsubscribe_url="https://u",
        )
    outcome = email.submit(server, message, seconds=5)
    assert outcome.error is not None
    assert inbox.messages == []
