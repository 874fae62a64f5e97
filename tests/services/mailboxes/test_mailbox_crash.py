"""A process that is killed while it polls a mailbox loses no mail and imports none twice."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import imap_server as imap
from tests.support.factories import make_account, make_domain
from tests.support.report_mailboxes import (
    AUTHORITY,
    add,
    counts,
    mail,
    poll_once,
    pulled_from,
    stored_mails,
)

POLL = """
import sys
from uuid import UUID
from app import runtime
from app.services.mailboxes import polling
from app.settings import Settings
runtime.start(Settings())
polling.poll(UUID(sys.argv[1]), is_forced=True)
"""


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("done_folder", "capabilities", "killed_at", "expected"),
    [
        ("", "IMAP4rev1", "FETCH 2 (BODY", PollResult(imported_count=2)),
        ("", "IMAP4rev1", "STORE 2", PollResult(imported_count=1, duplicate_count=1)),
        ("Done", "IMAP4rev1 MOVE", "MOVE 2", PollResult(imported_count=1, duplicate_count=1)),
        ("Done", "IMAP4rev1 UIDPLUS", "STORE 2", PollResult(imported_count=1, duplicate_count=1)),
        ("Done", "IMAP4rev1 UIDPLUS", "EXPUNGE 2", PollResult(imported_count=1)),
    ],
)
def test_killed_poll_loses_nothing_and_imports_nothing_twice(
    settings: Settings,
    done_folder: str,
    capabilities: str,
    killed_at: str,
    expected: PollResult,
) -> None:
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    mails = imap.numbered([mail(1), mail(2), mail(3)])
    mails.capabilities, mails.stalls_at = capabilities, killed_at
    certificates = AUTHORITY.cert_pem.bytes().decode()
    with pulled_from(mails) as access:
        access = replace(access, done_folder=done_folder, ca_certificates=certificates)
        row = add(account_id, access)
        environment = {
            **os.environ,
            "SECRET_KEY": settings.secret_key,
            "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
            "DATABASE_URL": settings.database_url,
            "REDIS_URL": settings.redis_url,
        }
        arguments = [sys.executable, "-c", POLL, str(row.id)]
        with subprocess.Popen(arguments, env=environment) as process:
            assert mails.stalled.wait(60)
            process.kill()
        mails.stalls_at = ""
        assert counts(poll_once(row)) == expected
        assert counts(poll_once(row)) == PollResult()
    assert len(stored_mails(account_id)) == 3
