"""The weekly summary of an email channel: what it says, when it is sent, and how often."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import func, select, update

from app import ids
from app import settings as app_settings
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound, QuotaExceeded
from app.models import Alert, Channel, Domain, DomainMail, Email, WeeklySummary
from app.protocols import timestamps
from app.services.accounts import accounts
from app.services.emails import emails
from app.services.notifications import channels, recipients
from app.services.sign_in.sessions import UserSession
from app.services.weekly import schedules, sending
from app.services.weekly.schedules import Schedule
from app.settings import Settings
from tests.support.factories import (
    ACTOR,
    add_email_channel,
    confirm_recipients,
    make_account,
    make_domain,
)
from tests.support.smtp_server import Inbox, open_inbox
from tests.support.stored_reports import DAY, Report, record, store

pytestmark = pytest.mark.usefixtures("database")

SCHEDULE = Schedule(0, 8, "Europe/Berlin")


@pytest.fixture
def inbox(database: object, settings: Settings) -> Iterator[Inbox]:
    """The mail server of this service."""
    with open_inbox() as inbox:
        app_settings.use(settings.replace(smtp_url=inbox.url, base_url="https://watch.test"))
        yield inbox


@pytest.fixture
def account_id() -> UUID:
    return make_account("Acme").id


@pytest.fixture
def channel(inbox: Inbox, account_id: UUID) -> Channel:
    """A channel with a confirmed recipient and a weekly summary."""
    return add(account_id, "weekly", "ann@acme.test")


def add(account_id: UUID, name: str, addresses: str, **options: Any) -> Channel:
    made = add_email_channel(account_id, name, addresses, **options)
    confirm_recipients(account_id)
    schedules.change(account_id, name, SCHEDULE, actor=ACTOR)
    with transaction() as session:  # only the summaries are to be sent
        session.execute(update(Email).values(status="sent", next_attempt_at=None))
    return made


def make_due(channel: Channel, ago: timedelta = timedelta(minutes=1)) -> None:
    with transaction() as session:
        session.execute(
            update(WeeklySummary)
            .where(WeeklySummary.channel_id == channel.id)
            .values(next_at=datetime.now(UTC) - ago, period_at=datetime.now(UTC) - ago - 7 * DAY)
        )


def row_of(channel: Channel) -> WeeklySummary:
    with transaction(readonly=True) as session:
        return session.get_one(WeeklySummary, channel.id)


def add_alert(domain: Domain, title: str, **columns: Any) -> UUID:
    row = Alert(
        id=ids.new(),
        account_id=domain.account_id,
        domain_id=domain.id,
        domain_name=domain.name,
        type="spf.missing",
        subject=title,
        severity="high",
        title=title,
        message=f"{domain.name}: {title}",
        **columns,
    )
    with transaction() as session:
        session.add(row)
    return row.id


def fill(account_id: UUID, name: str = "acme.test") -> Domain:
    """A domain with an alert, email of the last days and a policy."""
    domain = make_domain(account_id, name)
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    store(domain, Report([record(count=40)], begin=today - 2 * DAY))
    add_alert(domain, "SPF <b>is</b> missing")
    with transaction() as session:
        session.execute(update(Domain).where(Domain.id == domain.id).values(dmarc_policy="none"))
        session.add(
            DomainMail(
                domain_id=domain.id,
                account_id=account_id,
                messages=40,
                passed=39,
                version=0,
                computed_at=today,
            )
        )
    return domain


def parts(inbox: Inbox) -> tuple[str, str]:
    """The plain text and the HTML of the only message."""
    (message,) = inbox.messages
    plain, html = message.get_body(("plain",)), message.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def test_summary_says_what_changed_who_sends_and_what_to_do(
    inbox: Inbox, channel: Channel, account_id: UUID
) -> None:
    fill(account_id)
    make_due(channel)
    assert sending.send_due() == 1
    assert emails.send_due() == 1
    text, html = parts(inbox)
    (message,) = inbox.messages
    assert message["Subject"].startswith("Weekly summary of Acme: 1 change, 97.5 % of the email")
    assert message["To"] == "ann@acme.test"
    for word in ("What changed", "Who sends", "Policy progress", "Next step"):
        assert word in text
        assert word in html
    assert "* acme.test: New alert (high): SPF <b>is</b> missing." in text
    assert "<b>is</b>" not in html
    assert "SPF &lt;b&gt;is&lt;/b&gt; missing" in html
    assert re.search(r"sent 40 messages as acme\.test", text)
    assert "acme.test: p=none, 97.5 % of the email passes" in text
    assert "https://watch.test/domains/acme.test/policy" in text
    assert "https://watch.test/alerts?type=spf.missing&severity=high" in text
    assert "https://watch.test/alerts?type=spf.missing&amp;severity=high" in html
    assert "It is sent every Monday at 08:00, Europe/Berlin." in text
    assert re.search(r"20\d\d-\d\d-\d\d \d\d:\d\d CES?T to ", text)
    unsubscribe = message["List-Unsubscribe"].strip("<>")
    assert f"Unsubscribe: {unsubscribe}" in text
    assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_summary_without_any_event_is_sent_too(inbox: Inbox, channel: Channel) -> None:
    make_due(channel)
    sending.send_due()
    emails.send_due()
    text, _ = parts(inbox)
    assert "Nothing changed: no record, no check and no alert." in text
    assert "Next step" not in text


def test_summary_is_sent_once_for_each_time(inbox: Inbox, channel: Channel) -> None:
    make_due(channel)
    with ThreadPoolExecutor(4) as pool:
        sent = list(pool.map(lambda _: sending.send_due(), range(4)))
    assert sum(sent) == 1
    assert sending.send_due() == 0
    assert emails.send_due() == 1
    row = row_of(channel)
    assert row.next_at > datetime.now(UTC)
    local = row.next_at.astimezone(timestamps.find_zone("Europe/Berlin"))
    assert (local.weekday(), local.hour, local.minute) == (0, 8, 0)


def test_missed_weeks_are_made_up_for_by_one_summary(inbox: Inbox, channel: Channel) -> None:
    make_due(channel, ago=timedelta(days=15))
    assert sending.send_due() == 1
    assert sending.send_due() == 0
    assert len({row_of(channel).next_at}) == 1
    assert row_of(channel).next_at - datetime.now(UTC) <= timedelta(days=8)


def test_only_confirmed_recipients_get_it(inbox: Inbox, channel: Channel, account_id: UUID) -> None:
    add_email_channel(account_id, "pending", "bob@acme.test")
    schedules.change(account_id, "pending", SCHEDULE, actor=ACTOR)
    with transaction() as session:
        session.execute(update(WeeklySummary).values(next_at=datetime.now(UTC)))
        session.execute(update(Email).values(status="sent", next_attempt_at=None))
    assert sending.send_due() == 2
    emails.send_due()
    assert [message["To"] for message in inbox.messages] == ["ann@acme.test"]
    with transaction(readonly=True) as session:
        recipient = recipients.confirmed(session, channel.id)[0]
    token = recipients.unsubscribe_url(recipient.id).rpartition("/")[2]
    recipients.unsubscribe(token)
    make_due(channel)
    assert sending.send_due() == 1
    assert emails.send_due() == 0


def test_disabled_channel_sends_its_summary_late_once_it_is_enabled(
    inbox: Inbox, channel: Channel, account_id: UUID
) -> None:
    channels.disable(account_id, "weekly", actor=ACTOR)
    make_due(channel)
    assert sending.send_due() == 0
    channels.enable(account_id, "weekly", actor=ACTOR)
    assert (sending.send_due(), sending.send_due()) == (1, 0)


def test_channel_for_some_domains_says_nothing_about_others(inbox: Inbox, account_id: UUID) -> None:
    fill(account_id, "shown.test")
    fill(account_id, "hidden.test")
    tagged = make_domain(account_id, "tagged.test", tags=["shop"])
    add_alert(tagged, "Tagged alert")
    fill(make_account().id, "foreign.test")
    for options, shown in (
        ({"domains": ("shown.test",)}, {"shown.test"}),
        ({"tags": ("shop",)}, {"tagged.test"}),
    ):
        inbox.messages.clear()
        channel = add(account_id, f"for {shown}", "customer@x.test", **options)
        make_due(channel)
        assert sending.send_due() == 1
        emails.send_due()
        text, html = parts(inbox)
        for part in (text, html):
            assert set(re.findall(r"\w+\.test(?=: |/| )", part)) - {"watch.test"} == shown


def test_summary_of_one_channel_that_fails_does_not_stop_the_others(
    inbox: Inbox, channel: Channel, account_id: UUID
) -> None:
    other = add(account_id, "other", "bob@acme.test")
    make_due(channel, ago=timedelta(hours=1))
    make_due(other)
    with transaction() as session:
        session.execute(
            update(WeeklySummary)
            .where(WeeklySummary.channel_id == channel.id)
            .values(weekday=99)  # no code writes it
        )
    assert sending.send_due() == 1


def test_failed_email_is_sent_again_and_other_recipients_are_not(
    inbox: Inbox, account_id: UUID
) -> None:
    channel = add(account_id, "two", "ann@acme.test, bob@acme.test")
    inbox.refused.add("bob@acme.test")
    make_due(channel)
    sending.send_due()
    assert emails.send_due() == 2
    inbox.refused.clear()
    with transaction() as session:
        pending = update(Email).where(Email.status == "queued")
        session.execute(pending.values(next_attempt_at=datetime.now(UTC)))
    assert emails.send_due() == 1
    assert [message["To"] for message in inbox.messages] == ["ann@acme.test", "bob@acme.test"]
    with transaction(readonly=True) as session:
        sent = session.scalars(select(Email).where(Email.kind == sending.KIND)).all()
    assert {(row.status, row.body, row.extras) for row in sent} == {("sent", "", "")}


def user_of(account_id: UUID) -> UserSession:
    account = accounts.find(ids.public("acc", account_id))
    user, _ = accounts.add_user(
        account.name, "eve@acme.test", role="admin", password="an entirely other horse"
    )
    return UserSession(
        user_id=user.id,
        email=user.email,
        role=user.role,
        account_id=account_id,
        account_name=account.name,
    )


def test_preview_goes_to_the_user_only_and_is_limited(
    inbox: Inbox, channel: Channel, account_id: UUID
) -> None:
    user = user_of(account_id)
    before = row_of(channel).next_at
    for _ in range(sending.MAX_PREVIEWS):
        sending.preview(user, "weekly")
    with pytest.raises(QuotaExceeded):
        sending.preview(user, "weekly")
    emails.send_due()
    assert {message["To"] for message in inbox.messages} == {"eve@acme.test"}
    assert "List-Unsubscribe" not in inbox.messages[0]
    assert "preview for eve@acme.test" in str(inbox.messages[0].get_body(("plain",)))
    assert row_of(channel).next_at == before


def test_channel_of_another_account_is_not_found(channel: Channel) -> None:
    stranger = make_account().id
    with pytest.raises(NotFound):
        schedules.change(stranger, ids.public("chan", channel.id), SCHEDULE, actor=ACTOR)
    with pytest.raises(NotFound):
        sending.preview(user_of(stranger), "weekly")


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        (Schedule(7, 8, "UTC"), "weekday"),
        (Schedule(-1, 8, "UTC"), "weekday"),
        (Schedule(0, 24, "UTC"), "hour"),
        (Schedule(0, 8, "Mars/Olympus"), "time_zone"),
    ],
)
def test_invalid_schedule_is_refused(
    channel: Channel, account_id: UUID, schedule: Schedule, field: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        schedules.change(account_id, "weekly", schedule, actor=ACTOR)
    assert caught.value.extra["details"][0]["field"] == field


def test_schedule_is_changed_and_removed(channel: Channel, account_id: UUID) -> None:
    friday = Schedule(4, 17, "Asia/Kathmandu")
    assert schedules.change(account_id, "weekly", friday, actor=ACTOR) == SCHEDULE
    local = row_of(channel).next_at.astimezone(timestamps.find_zone("Asia/Kathmandu"))
    assert (local.weekday(), local.hour, local.minute) == (4, 17, 0)
    assert schedules.change(account_id, "weekly", None, actor=ACTOR) == friday
    assert schedules.change(account_id, "weekly", None, actor=ACTOR) is None
    with transaction(readonly=True) as session:
        assert session.scalar(select(func.count()).select_from(WeeklySummary)) == 0
