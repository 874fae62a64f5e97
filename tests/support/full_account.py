"""An account with a row in every table, and a search in all tables."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from app.analysis.mail.periods import Window, hour_of
from app.db.transactions import now, transaction
from app.mailboxes.imap import ImapConfig
from app.models import (
    Account,
    ApiKeyAddress,
    ApiKeyUsage,
    BrowserSession,
    DkimKey,
    Domain,
    FormResult,
    IdempotentCall,
    IngestSource,
    MailboxMessage,
    MailHost,
    PasswordReset,
    RecoveryCode,
    SignInNetwork,
    StoredFormDraft,
    TokenLeak,
    User,
)
from app.services.accounts import accounts
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.analytics import sender_hosts, sources
from app.services.analytics.sources import ManualClassification
from app.services.api_keys import account_limits, upload_tokens
from app.services.audit import refusals
from app.services.core import account_rows
from app.services.domain_status import mail_figures, saved_views, share_links
from app.services.emails import emails
from app.services.emails.emails import NewEmail
from app.services.filing import processor
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.mailboxes import mailboxes
from app.services.monitoring import report_monitor
from app.services.notifications import feed
from app.services.people import invitations
from app.services.rollups import rollup_queue
from app.services.scans import batches, runner, scans
from app.services.scans.batches import Selection
from app.services.sign_in import sessions
from app.services.sign_in.sessions import UserSession
from app.services.weekly import schedules
from app.services.weekly.schedules import Schedule
from tests.support.factories import add_email_channel, make_account, make_domain, make_key
from tests.support.forwarding_sinks import add_sink
from tests.support.report_documents import dmarc_xml, failure_mail, record, tls_json
from tests.support.zones import Zone, ZoneNetwork


@dataclass(frozen=True)
class FullAccount:
    """The names of an account that has a row in every table."""

    account: Account
    domain: str
    owner: User
    person: User

    @property
    def names(self) -> tuple[str, ...]:
        """The texts that identify the account in rows."""
        return str(self.account.id), self.account.id.hex, self.account.name


def make(name: str) -> FullAccount:
    """Create an account with two users, one domain, and an object of every kind."""
    account, domain = make_account(f"{name} limited"), f"{name}.test"
    owner, _ = accounts.add_user(account.name, f"olga@{name}-mail.test", role="owner")
    person, _ = accounts.add_user(account.name, f"pete@{name}-mail.test", role="owner")
    full = FullAccount(account=account, domain=domain, owner=owner, person=person)
    actor = f"user:{person.email}"
    made = make_domain(account.id, domain, schedule="off")
    with transaction() as session:
        session.get_one(Domain, made.id).verified_at = now(session)
        session.add(DkimKey(domain_id=made.id, account_id=account.id, key_sha256="a" * 64))
    _scan(full, actor)
    _receive(full)
    _people(full)
    saved_views.save(full.person.id, "Mine", {"sort": "score"})
    _channels(full, actor)
    _keys(full)
    _limits(full)
    return full


def empty_tables() -> list[str]:
    """The tables that have no row."""
    with transaction(readonly=True) as session:
        return [
            table.name
            for table in account_rows.tables()
            if not session.scalar(select(func.count()).select_from(table))
        ]


def places(*texts: str) -> set[str]:
    """The columns of the whole database that have one of the texts."""
    tables = set()
    with transaction(readonly=True) as session:
        for table in account_rows.tables():
            for row in session.execute(select(table)).mappings():
                for column, value in row.items():
                    if any(text in form for form in _forms(value) for text in texts):
                        tables.add(f"{table.name}.{column}")
    return tables


def _forms(value: Any) -> Iterator[str]:
    """The forms in which a value may identify something."""
    if isinstance(value, bytes | memoryview):
        yield bytes(value).decode("latin-1")
        yield bytes(value).hex()
    elif value is not None:
        yield str(value)


def _zone(domain: str, policy: str) -> Zone:
    return Zone(
        {
            (domain, "NS"): [f"ns1.{domain}", f"ns2.{domain}"],
            (f"ns1.{domain}", "A"): ["198.51.100.1"],
            (f"ns2.{domain}", "A"): ["198.51.100.2"],
            (domain, "MX"): [f"10 mx.{domain}"],
            (f"mx.{domain}", "A"): ["198.51.100.3"],
            domain: ["v=spf1 mx -all"],
            f"_dmarc.{domain}": [f"v=DMARC1; p={policy}; rua=mailto:d@{domain}"],
            ("1.2.0.192.in-addr.arpa", "PTR"): [f"mx.{domain}"],
        }
    )


def _scan(full: FullAccount, actor: str) -> None:
    """Add two scans with a changed record in between, and a queued batch."""
    for policy in ("reject", "none"):
        queued = scans.trigger(full.account.id, full.domain, actor=actor, trigger="dashboard").scan
        assert runner.run([queued.id], ZoneNetwork(_zone(full.domain, policy))) == 1
    batches.trigger(full.account.id, Selection(all=True), actor=actor)


def _receive(full: FullAccount) -> None:
    """Add reports of every kind, a rejected file, and a pending rollup."""
    old = datetime.now(UTC) - timedelta(days=20)
    begin = int(old.replace(hour=0, minute=0, second=0).timestamp())
    files = (
        (dmarc_xml(full.domain), f"receiver.test!{full.domain}!1!2.xml"),
        (dmarc_xml(full.domain, "old", begin=begin, end=begin + 86_399), None),
        (tls_json(full.domain), None),
        (failure_mail(full.domain), None),
        (b"not a report", f"receiver.test!{full.domain}!3!4.xml.gz"),
    )
    for raw, file_name in files:
        ingest_files.store(full.account.id, raw, received_via="upload", file_name=file_name)
    processor.run([])
    rollup_queue.drain()
    mail_figures.refresh()
    report_monitor.enqueue_if_due()
    sender_hosts.enqueue_if_due()
    sender_hosts.look_up(ZoneNetwork(_zone(full.domain, "none")))
    listed = sources.search(full.account.id, full.domain, _window()).listed
    note = f"{full.person.email} knows it"
    approved = ManualClassification(listed.sources[0].source.key, "approved", note)
    sources.classify(full.account.id, full.domain, approved, actor=f"user:{full.person.email}")
    late = dmarc_xml(full.domain, "late", records=[record(f"sub.{full.domain}")])
    ingest_files.store(full.account.id, late, received_via="upload")
    processor.run([])


def _people(full: FullAccount) -> None:
    by = UserSession(
        user_id=full.person.id,
        email=full.person.email,
        role="owner",
        account_id=full.account.id,
        account_name=full.account.name,
    )
    invitations.create(by, f"ines@{full.domain.removesuffix('.test')}-mail.test", "member")
    with transaction() as session:
        at = now(session)
        email = NewEmail(
            recipient=full.person.email,
            kind="notice",
            subject="Notice",
            body="A notice.",
            account_id=full.account.id,
        )
        emails.enqueue(session, email)
        session.add(
            SignInNetwork(
                user_id=full.person.id,
                network="192.0.2.0/24",
                first_seen_at=at,
                last_seen_at=at,
            )
        )
        session.add(RecoveryCode(user_id=full.person.id, digest=b"r" * 32))
        session.add(
            PasswordReset(
                user_id=full.person.id,
                digest=full.person.id.bytes * 2,
                expires_at=at + timedelta(hours=1),
            )
        )
        _browser_session(session, full, at)


def _browser_session(session: Session, full: FullAccount, at: datetime) -> None:
    session.add(
        BrowserSession(
            id=full.person.id.bytes * 2,
            user_id=full.person.id,
            account_id=full.account.id,
            expires_at=at + timedelta(days=1),
            agent="a browser",
        )
    )
    session.flush()
    session.add(
        FormResult(
            session_id=full.person.id.bytes * 2,
            id="f" * 64,
            kind="api_key",
            expires_at=at + timedelta(minutes=10),
        )
    )
    session.add(
        StoredFormDraft(
            id=full.person.id.hex,
            user_id=full.person.id,
            text_encrypted="encrypted",
            expires_at=at + timedelta(hours=1),
        )
    )


def _channels(full: FullAccount, actor: str) -> None:
    add_email_channel(
        full.account.id, "alerts", full.person.email, actor=actor, domains=(full.domain,)
    )
    both = f"{full.owner.email}, {full.person.email}"
    add_email_channel(full.account.id, "both", both, actor=actor)
    schedules.change(full.account.id, "both", Schedule(0, 8, "Europe/Berlin"), actor=actor)
    share_links.create(full.account.id, full.domain, 7, None, actor=actor)
    open_alert, *_ = alerts.listing(full.account.id, AlertFilter(status="open")).page(None, 50)[0]
    change = AlertChange(
        "dismissed",
        note=f"{full.person.email} accepts it",
        risk_owner=full.person.email,
        accepted_until=datetime.now(UTC) + timedelta(days=9),
    )
    alerts.change(full.account.id, open_alert.id, change, actor=actor)
    feed.distribute_all()
    access = ImapConfig(host="imap.reports.test", username="reports", password="secret password")
    mailbox = mailboxes.add(full.account.id, access, actor=actor)
    with transaction() as session:
        session.add(MailboxMessage(mailbox_id=mailbox.id, key_digest=bytes(32)))
    add_sink(full.account.id, "webhook", {"url": "https://siem.test/records"})
    tokens.create(full.account.id, actor=actor)
    upload_tokens.issue(full.account.id, "pipeline", actor=actor)


def _keys(full: FullAccount) -> None:
    key, _ = make_key(full.account.id)
    with transaction() as session:
        at = now(session)
        session.add_all(
            (
                ApiKeyUsage(api_key_id=key.id, day=at.date(), route="/v1/me", status=200, count=1),
                ApiKeyAddress(
                    api_key_id=key.id,
                    day=at.date(),
                    address="192.0.2.7",
                    count=1,
                    last_at=at,
                ),
                IdempotentCall(
                    api_key_id=key.id,
                    route="POST /v1/domains",
                    key="1",
                    request_digest=b"d" * 32,
                    status=201,
                    body=f'{{"name": "{full.domain}"}}'.encode(),
                ),
                IngestSource(account_id=full.account.id, source="192.0.2.7", day=at.date()),
                TokenLeak(
                    account_id=full.account.id,
                    token=f"mp_{key.key_id}",
                    name="ci",
                    reported_by="person",
                ),
                MailHost(name=f"mx.{full.domain}", last_referenced_at=at, next_at=at),
            )
        )


def _limits(full: FullAccount) -> None:
    limits = account_limits.Changes(max_api_keys="60")
    account_limits.change(full.account.id, limits, actor="user:operator")
    sessions.sign_in(full.person.email, "not the password")
    refusals.flush()


def _window() -> Window:
    end = hour_of(datetime.now(UTC))
    return Window(end - 30 * 24, end)
