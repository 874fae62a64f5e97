"""Deletion of domains, accounts and users."""

import json
from datetime import timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest
from sqlalchemy import select, update

from app.db.transactions import now, transaction
from app.errors import Conflict
from app.models import Account, AuditEvent, Base, Channel, Domain, Event, RawFile
from app.services.accounts import accounts, deletion, export
from app.services.core import account_rows
from app.services.domains import domains, erasure
from app.services.filing import processor
from app.services.ingest import files
from app.services.people import users
from tests.support import full_account
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.full_account import FullAccount
from tests.support.report_documents import dmarc_xml, zipped

pytestmark = pytest.mark.usefixtures("database")

# What may name a deleted domain for a time; tests/services/test_retention_rules.py lets it pass.
FOR_A_TIME = {
    "events.body",  # tells webhooks and readers of the feed that its alerts are resolved
    "idempotent_calls.body",  # 24 hours
    "mail_hosts.name",  # a public fact about a host, which other accounts may use too
    "sender_hosts.name",
}
AUDIT_LOG = {"audit_events.target", "audit_events.details", "audit_events.actor"}


@pytest.fixture
def full() -> FullAccount:
    return full_account.make("gone")


def test_full_account_has_a_row_in_every_table(full: FullAccount) -> None:
    assert full_account.empty_tables() == []


def test_deleted_domain_remains_only_in_the_audit_log_and_short_lived_rows(
    full: FullAccount,
) -> None:
    before = full_account.places(full.domain)
    assert {
        "report_files.policy_domain",
        "raw_files.content",
        "channels.domains",
        "scans.result",
    } <= before
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    assert full_account.places(full.domain) - AUDIT_LOG <= FOR_A_TIME


def test_deleted_account_leaves_no_rows(full: FullAccount) -> None:
    other = full_account.make("other")
    remaining = full_account.places(*other.names)
    assert full_account.places(*full.names)
    deletion.delete_now(full.account.name, actor=ACTOR)
    assert full_account.places(*full.names, full.owner.email, full.person.email) == set()
    left = full_account.places(full.domain)
    assert left <= {"mail_hosts.name", "sender_hosts.name"}
    assert full_account.places(*other.names) == remaining


def test_deleted_user_remains_only_in_the_audit_log(full: FullAccount) -> None:
    before = full_account.places(full.person.email)
    assert {"channels.target", "scans.requested_by", "events.body", "alerts.risk_owner"} <= before
    users.delete(full.person.email, actor=ACTOR)
    assert full_account.places(full.person.email) <= AUDIT_LOG
    with transaction(readonly=True) as session:
        rows = {row.name: row for row in session.scalars(select(Channel))}
    assert (rows["alerts"].target, rows["alerts"].disabled_at is None) == ("", False)
    assert (rows["both"].target, rows["both"].disabled_at) == (full.owner.email, None)


def test_channel_limited_to_a_deleted_domain_sends_no_other_alerts(
    full: FullAccount,
) -> None:
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    with transaction(readonly=True) as session:
        row = session.scalar(select(Channel).where(Channel.name == "alerts"))
    assert row is not None
    assert (row.domains, row.disabled_reason) == ([], erasure.NO_DOMAIN_LEFT)


def test_files_of_other_domains_are_kept(full: FullAccount) -> None:
    make_domain(full.account.id, f"own.{full.domain}")
    make_domain(full.account.id, "else.test")
    about_own, about_else = dmarc_xml(f"own.{full.domain}"), dmarc_xml("else.test", "e")
    for raw in (about_own, about_else):
        files.store(full.account.id, raw, received_via="http")
    shared = zipped(dmarc_xml(full.domain, "s1"), dmarc_xml("else.test", "s2"))
    files.store(full.account.id, shared, received_via="http")
    processor.run([])
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    with transaction(readonly=True) as session:
        assert set(session.scalars(select(RawFile.content))) == {about_own, about_else}


def test_bounded_batches_delete_everything(
    full: FullAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_rows, "BATCH_SIZES", {})
    monkeypatch.setattr(account_rows, "BATCH_SIZE", 1)
    monkeypatch.setattr(erasure, "FILES_BATCH_SIZE", 1)
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    assert full_account.places(full.domain) - AUDIT_LOG <= FOR_A_TIME
    deletion.delete_now(full.account.name, actor=ACTOR)
    assert full_account.places(*full.names) == set()


def test_old_events_of_a_deleted_domain_are_deleted(full: FullAccount) -> None:
    with transaction() as session:
        old = now(session) - erasure.EVENTS_GRACE - timedelta(hours=1)
        session.execute(update(Event).values(at=old))
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    with transaction(readonly=True) as session:
        assert set(session.scalars(select(Event.type))) == {"alert.resolved"}


def test_domain_on_legal_hold_and_its_account_cannot_be_deleted(full: FullAccount) -> None:
    domains.hold(full.account.id, full.domain, "case 12", actor=ACTOR)
    before = full_account.places(full.domain)
    with pytest.raises(Conflict, match="legal hold"):
        domains.delete(full.account.id, full.domain, actor=ACTOR)
    with pytest.raises(Conflict, match="legal hold"):
        deletion.delete_now(full.account.name, actor=ACTOR)
    assert full_account.places(full.domain) == before
    domains.release_hold(full.account.id, full.domain, actor=ACTOR)
    domains.delete(full.account.id, full.domain, actor=ACTOR)
    with transaction(readonly=True) as session:
        actions = set(session.scalars(select(AuditEvent.action)))
    assert {"domain.hold_placed", "domain.hold_released", "domain.deleted"} <= actions


def test_account_in_deletion_cannot_be_resumed() -> None:
    account = make_account()
    with transaction() as session:
        session.get_one(Account, account.id).deletion_requested_at = now(session)
    with pytest.raises(Conflict):
        accounts.resume(account.name)
    assert deletion.delete_requested() == 1
    with transaction(readonly=True) as session:
        assert session.get(Account, account.id) is None


def test_export_has_every_row_of_the_account_and_no_secret(
    tmp_path: Path,
) -> None:
    full_account.make("other")
    full = full_account.make("gone")
    path = tmp_path / "export.zip"
    count = export.write(full.account.name, path, actor=ACTOR)
    assert path.stat().st_mode & 0o777 == 0o600
    public = {"mail_hosts", "sender_hosts"}
    rows = 0
    with ZipFile(path) as archive:
        names = set(archive.namelist())
        assert names >= {f"{name}.ndjson" for name in Base.metadata.tables.keys() - public}
        assert any(name.startswith("raw_files/") for name in names)
        text = b"".join(archive.read(name) for name in sorted(names)).decode()
        for name in names:
            if name.endswith(".ndjson"):
                lines = archive.read(name).splitlines()
                rows += len(lines)
                assert lines, name
                assert all(isinstance(json.loads(line), dict) for line in lines)
    assert rows == count
    assert full.domain in text
    assert "other.test" not in text
    assert "$argon2" not in text


def test_export_does_not_overwrite_a_file(full: FullAccount, tmp_path: Path) -> None:
    path = tmp_path / "export.zip"
    path.write_text("mine")
    with pytest.raises(FileExistsError):
        export.write(full.account.name, path, actor=ACTOR)
    assert path.read_text() == "mine"


def test_hold_on_one_domain_does_not_protect_another(full: FullAccount) -> None:
    make_domain(full.account.id, "else.test")
    domains.hold(full.account.id, full.domain, "case 12", actor=ACTOR)
    domains.delete(full.account.id, "else.test", actor=ACTOR)
    with transaction(readonly=True) as session:
        assert list(session.scalars(select(Domain.name))) == [full.domain]
