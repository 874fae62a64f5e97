"""A process that is killed while it polls Microsoft Graph or Gmail loses no mail, and repeats none.

The server stalls at a request about the second of three messages, before it carries out the request
or after that, and the process is killed then.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app.services.mailboxes.fetch import PollResult
from app.settings import Settings
from tests.support import web_mailboxes
from tests.support.factories import make_account, make_domain
from tests.support.report_mailboxes import counts, mail, stored_mails
from tests.support.web_mailboxes import PROVIDERS, Client

POLL = """
import sys
from uuid import UUID
from app import runtime
from app.network.session import LiveNetwork
from app.services.mailboxes import polling
from app.settings import Settings
runtime.start(Settings())
polling.poll(UUID(sys.argv[1]), LiveNetwork(Settings()), is_forced=True)
"""
READ, CHANGE = "GET .*{}", "(PATCH|POST) .*{}"


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize("name", PROVIDERS)
@pytest.mark.parametrize(
    ("done", "killed_at", "acts_first", "expected"),
    [
        ("", READ, False, PollResult(imported_count=2)),
        ("", CHANGE, False, PollResult(imported_count=1, duplicate_count=1)),
        ("Done", CHANGE, False, PollResult(imported_count=1, duplicate_count=1)),
        ("Done", CHANGE, True, PollResult(imported_count=1)),
    ],
)
def test_killed_poll_loses_nothing_and_imports_nothing_twice(
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    done: str,
    killed_at: str,
    acts_first: bool,
    expected: PollResult,
) -> None:
    provider = PROVIDERS[name]([mail(1), mail(2), mail(3)])
    provider.add_place("Done")
    account_id = make_account().id
    make_domain(account_id, "acme.test")
    server = provider.server
    server.stalls_at, server.acts_first = killed_at.format(provider.ids[1]), acts_first
    with web_mailboxes.serving(provider, tmp_path, monkeypatch):
        client = Client(web_mailboxes.settings_for(settings, server), account_id)
        row = client.add(provider.config(done))
        arguments = [sys.executable, "-c", POLL, str(row.id)]
        environment = {**os.environ, **_environment(settings, server.port, server.hosts)}
        with subprocess.Popen(arguments, env=environment) as process:
            assert server.stalled.wait(60)
            process.kill()
        server.stalls_at = ""
        assert counts(client.poll(row)) == expected
        assert counts(client.poll(row)) == PollResult()
    assert provider.waiting() == []
    assert len(stored_mails(account_id)) == 3


def _environment(settings: Settings, port: int, hosts: tuple[str, ...]) -> dict[str, str]:
    return {
        "SECRET_KEY": settings.secret_key,
        "ALLOWED_HOSTS": ",".join(settings.allowed_hosts),
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "DNS_NAMESERVERS": "127.0.0.1:1",
        "EGRESS_CONNECT_TO": ",".join(f"{host}=127.0.0.1:{port}" for host in hosts),
    }
