"""Polls of POP3 mailboxes and of buckets: what is stored, and what a killed poll leaves behind."""

import os
import subprocess
import sys
import threading
from uuid import UUID

import pytest
from sqlalchemy import select

from app.db.transactions import transaction
from app.models import ReportFile
from app.protocols.report_formats.limits import LIMITS
from app.services.mailboxes import polling
from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import pop3_mailboxes, pop3_server, s3_mailboxes
from tests.support.factories import make_account, make_domain
from tests.support.report_documents import dmarc_xml, zipped
from tests.support.report_mailboxes import add, counts, mail, reload, stored_mails
from tests.support.s3_server import Bucket

pytestmark = pytest.mark.usefixtures("database")

POLL = """
import sys
from uuid import UUID
from app import runtime
from app.services.mailboxes import polling
from app.settings import Settings
from tests.support import s3_mailboxes
runtime.start(Settings())
polling.poll(UUID(sys.argv[1]), s3_mailboxes.network(), is_forced=True)
"""
MOVE = {"after_import": "move", "prefix": "in/", "done_prefix": "done/"}


@pytest.fixture
def account_id() -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


def poll(mailbox_id: UUID) -> PollResult:
    result = polling.poll(mailbox_id, s3_mailboxes.network(), is_forced=True)
    assert result is not None
    return result


def kill_poll(mailbox_id: UUID, stalled: threading.Event, settings: Settings) -> None:
    """Poll the mailbox in a process, and kill it once the server does not answer."""
    environment = {
        **os.environ,
        "SECRET_KEY": settings.secret_key,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
    }
    arguments = [sys.executable, "-c", POLL, str(mailbox_id)]
    with subprocess.Popen(arguments, env=environment) as process:
        is_stalled = stalled.wait(60)
        process.kill()
    assert is_stalled


@pytest.mark.parametrize(
    ("after_import", "killed_at", "expected", "rest"),
    [
        ("keep", "RETR 2", PollResult(imported_count=2), ["uid-1", "uid-2", "uid-3"]),
        ("delete", "RETR 2", PollResult(imported_count=2, duplicate_count=1), []),
        ("delete", "DELE 2", PollResult(imported_count=1, duplicate_count=2), []),
        ("delete", "QUIT", PollResult(duplicate_count=3), []),
    ],
)
def test_killed_poll_of_pop3_loses_nothing_and_imports_nothing_twice(
    account_id: UUID,
    settings: Settings,
    after_import: str,
    killed_at: str,
    expected: PollResult,
    rest: list[str],
) -> None:
    maildrop = pop3_server.numbered([mail(1), mail(2), mail(3)])
    maildrop.stalls_at = killed_at
    with pop3_mailboxes.served(maildrop, after_import=after_import) as config:
        row = add(account_id, config)
        kill_poll(row.id, maildrop.stalled, settings)
        assert list(maildrop.content) == ["uid-1", "uid-2", "uid-3"]
        maildrop.stalls_at = ""
        assert counts(poll(row.id)) == expected
        assert counts(poll(row.id)) == PollResult()
    assert list(maildrop.content) == rest
    assert len(stored_mails(account_id)) == 3


@pytest.mark.parametrize(
    ("options", "killed_at", "expected"),
    [
        ({"after_import": "keep"}, ("GET", "in/2"), PollResult(imported_count=2)),
        ({"after_import": "delete"}, ("GET", "in/2"), PollResult(imported_count=2)),
        (
            {"after_import": "delete"},
            ("DELETE", "in/2"),
            PollResult(imported_count=1, duplicate_count=1),
        ),
        (MOVE, ("PUT", "done/2"), PollResult(imported_count=1, duplicate_count=1)),
        (MOVE, ("DELETE", "in/2"), PollResult(imported_count=1, duplicate_count=1)),
    ],
)
def test_killed_poll_of_a_bucket_loses_nothing_and_imports_nothing_twice(
    account_id: UUID,
    settings: Settings,
    options: dict[str, str],
    killed_at: tuple[str, str],
    expected: PollResult,
) -> None:
    bucket = Bucket({f"in/{number}": mail(number) for number in (1, 2, 3)}, stalls_at=killed_at)
    with s3_mailboxes.served(bucket, **options) as config:
        row = add(account_id, config)
        kill_poll(row.id, bucket.stalled, settings)
        bucket.stalls_at = None
        assert counts(poll(row.id)) == expected
        assert counts(poll(row.id)) == PollResult()
    prefix = {"keep": "in/", "move": "done/"}.get(options["after_import"])
    keys = [f"{prefix}{number}" for number in (1, 2, 3)] if prefix else []
    assert sorted(bucket.content) == keys
    assert len(stored_mails(account_id)) == 3


def test_emails_and_report_files_of_a_bucket_are_stored_with_their_names(account_id: UUID) -> None:
    contents = {
        "in/0a1b2c": mail(1),
        "in/receiver.test!acme.test!1!2.xml": dmarc_xml(report_id="2"),
        "in/receiver.test!acme.test!3!4.zip": zipped(dmarc_xml(report_id="3")),
    }
    with s3_mailboxes.served(Bucket(dict(contents)), prefix="in/") as config:
        row = add(account_id, config)
        assert counts(poll(row.id)) == PollResult(imported_count=3)
    with transaction(readonly=True) as session:
        names = session.scalars(
            select(ReportFile.file_name).where(ReportFile.account_id == account_id)
        ).all()
    assert sorted(name or "" for name in names) == sorted(contents)


def test_object_that_is_replaced_is_imported_again(account_id: UUID) -> None:
    bucket = Bucket({"a": mail(1)})
    with s3_mailboxes.served(bucket) as config:
        row = add(account_id, config)
        assert counts(poll(row.id)) == PollResult(imported_count=1)
        bucket.content["a"] = mail(2)
        assert counts(poll(row.id)) == PollResult(imported_count=1)
        assert counts(poll(row.id)) == PollResult()


def test_objects_that_fail_do_not_delay_others(account_id: UUID) -> None:
    bucket = Bucket({str(number): mail(number) for number in range(1, 6)})
    bucket.sizes["1"] = LIMITS.message + 1
    bucket.refusals[("GET", "2")] = (403, "AccessDenied", "Access Denied")
    bucket.breaks_at = {("GET", "3")}
    with s3_mailboxes.served(bucket) as config:
        row = add(account_id, config)
        result = poll(row.id)
        assert (result.imported_count, result.too_large, result.failure) == (2, 1, None)
        assert list(result.skipped) == ["1", "2", "3"]
        assert reload(row).skipped == result.skipped
        bucket.refusals.clear()
        bucket.breaks_at = set()
        assert poll(row.id).imported_count == 2
    assert bucket.requests[-2:] == [("GET", "2"), ("GET", "3")]


def test_throttling_postpones_the_next_poll(account_id: UUID) -> None:
    bucket = Bucket({"a": mail(1)}, headers={"Retry-After": "1800"})
    bucket.refusals[("GET", "")] = (503, "SlowDown", "Please reduce your request rate.")
    with s3_mailboxes.served(bucket) as config:
        row = add(account_id, config)
        assert poll(row.id).retry_after_seconds == 1800
    polled = reload(row)
    assert polled.polled_at is not None
    assert (polled.next_at - polled.polled_at).total_seconds() == 1800


def test_messages_of_pop3_that_fail_do_not_delay_others(account_id: UUID) -> None:
    maildrop = pop3_server.numbered([mail(number) for number in range(1, 6)])
    maildrop.sizes["uid-1"] = LIMITS.message + 1
    maildrop.refusals["RETR 2"] = "-ERR damaged"
    maildrop.breaks_at = ("RETR 3",)
    with pop3_mailboxes.served(maildrop) as config:
        row = add(account_id, config)
        result = poll(row.id)
        assert (result.imported_count, result.too_large, result.failure) == (2, 1, None)
        assert list(result.skipped) == ["uid-1", "uid-2", "uid-3"]
        assert list(maildrop.content) == ["uid-1", "uid-2", "uid-3"]
        maildrop.refusals.clear()
        maildrop.breaks_at = ()
        assert poll(row.id).imported_count == 2
    assert list(maildrop.content) == ["uid-1"]
    assert len(stored_mails(account_id)) == 4
