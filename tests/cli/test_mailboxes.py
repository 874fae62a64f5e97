"""The commands `flask mailboxes`, against a real IMAP server."""

import json
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trustme
from sqlalchemy.engine import Engine

from app import ids
from app.services.accounts import accounts
from app.services.filing import processor
from app.services.ingest import files
from app.services.ingest.files import ReportFileFilter
from app.settings import Settings
from tests.support import imap_server as imap
from tests.support.factories import make_account, make_app, make_domain
from tests.support.report_documents import dmarc_xml

Run = Callable[..., str]
MAIL = b"From: noreply@receiver.test\r\nContent-Type: text/xml\r\n\r\n" + dmarc_xml()


@pytest.fixture
def run(database: Engine, settings: Settings) -> Run:
    app = make_app(database, settings)
    make_account("Acme")

    def invoke(*arguments: object, status: int = 0, typed: str = "") -> str:
        words = ["mailboxes", *map(str, arguments)]
        result = app.test_cli_runner().invoke(args=words, input=typed)
        assert result.exit_code == status, result.output
        return result.output

    return invoke


@pytest.fixture
def port(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """The port of a server with one mail and a trusted certificate."""
    with imap_server(tmp_path, monkeypatch, MAIL) as number:
        yield number


@contextmanager
def imap_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mail: bytes) -> Iterator[int]:
    """The port of a server with this mail."""
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    authority.issue_cert("127.0.0.1").configure_cert(context)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with imap.serving(imap.numbered([mail]), context) as number:
        yield number


def add(run: Run, port: int, *more: str, password: str = imap.PASSWORD) -> str:
    """Add a mailbox with a typed password, and return its id."""
    words = ("--host", "127.0.0.1", "--port", port, "--username", "reports@acme.test")
    output = run("add", "--account", "Acme", *words, *more, typed=f"{password}\n")
    assert password not in output
    match = re.search(r"mbx_\w+", output)
    assert match is not None
    return match[0]


def refused_add(run: Run, port: int, *more: str, password: str = imap.PASSWORD) -> str:
    """The output of adding a mailbox that is refused."""
    words = ("--host", "127.0.0.1", "--port", port, "--username", "reports@acme.test")
    return run("add", "--account", "Acme", *words, *more, typed=f"{password}\n", status=1)


def test_mailbox_is_added_polled_listed_and_removed(run: Run, port: int) -> None:
    mailbox_id = add(run, port)
    assert "never polled  0 imported" in run("list", "--account", "Acme")
    assert "1 imported, 0 duplicates, 0 too large" in run("pull", mailbox_id)
    assert "0 imported" in run("pull", mailbox_id)
    listed = run("list", "--account", "Acme")
    assert "reports@acme.test at 127.0.0.1, INBOX" in listed
    assert "1 imported" in listed
    assert "1 read" in listed
    [row] = json.loads(run("list", "--account", "Acme", "--json"))
    assert (row["id"], row["importedCount"], row["readCount"]) == (mailbox_id, 1, 1)
    assert json.loads(run("show", "--account", "Acme", "--json", mailbox_id))["skipped"] == {}
    run("remove", "--account", "Acme", mailbox_id, typed="reports@acme.test\n")
    assert run("list", "--account", "Acme") == ""


def test_mailbox_error_is_a_sentence(run: Run, port: int) -> None:
    refused = refused_add(run, port, password="wrong")
    assert "The test failed: wrong password. Use --skip-test" in refused
    mailbox_id = add(run, port, "--skip-test", password="wrong")
    assert "Error: wrong password\n" in run("pull", mailbox_id, status=1)
    assert "wrong password" in run("list", "--account", "Acme")
    unknown = ids.public("mbx", ids.new())
    assert f"Not found: mailbox {unknown}" in run("pull", unknown, status=1)
    assert unknown in run("remove", "--account", "Acme", unknown, status=1)
    assert "expected format: mbx_" in run("pull", "7", status=2)


RESULTS = b"Authentication-Results: mx.acme.test; dkim=pass header.d=receiver.test\r\n"


@pytest.mark.parametrize(
    ("more", "provenance"),
    [
        ((), "unverified"),
        (("--authserv-id", "MX.acme.test"), "authenticated"),
        (("--authserv-id", "mx.other.test"), "unverified"),
    ],
)
def test_authentication_results_count_for_the_trusted_server(
    run: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
    provenance: str,
) -> None:
    make_domain(accounts.find("Acme").id, "acme.test")
    with imap_server(tmp_path, monkeypatch, RESULTS + MAIL) as number:
        run("pull", add(run, number, *more))
    processor.run([])
    [row], _ = files.search(accounts.find("Acme").id, ReportFileFilter()).page(None, 9)
    assert (row.status, row.provenance) == ("parsed", provenance)


def test_trusted_server_can_be_set_and_removed(run: Run) -> None:
    mailbox_id = add(run, 993, "--skip-test")
    assert "trusts" not in run("list", "--account", "Acme")
    trust = ("trust-server", "--account", "Acme")
    assert "trusts mx.acme.test" in run(*trust, "--authserv-id", " mx.acme.test", mailbox_id)
    assert "trusts mx.acme.test" in run("list", "--account", "Acme")
    run(*trust, "--authserv-id", "a;b", mailbox_id, status=1)
    assert "trusts no server" in run(*trust, mailbox_id)
    assert "trusts" not in run("list", "--account", "Acme")
    run(*trust, ids.public("mbx", ids.new()), status=1)


def test_dry_run_shows_what_would_be_fetched(run: Run, port: int) -> None:
    mailbox_id = add(run, port)
    for _ in range(2):
        output = run("pull", "--dry-run", mailbox_id)
        assert f"INBOX 1  {len(MAIL)} bytes  would be fetched" in output
        assert "1 message. Nothing was changed." in output
    assert "never polled  0 imported" in run("list", "--account", "Acme")
    assert "1 imported" in run("pull", mailbox_id)
    assert "1 read messages are left alone." in run("pull", "--dry-run", mailbox_id)


def test_mailbox_is_edited_paused_and_resumed(run: Run, port: int) -> None:
    mailbox_id = add(run, port)
    edit = ("edit", "--account", "Acme", mailbox_id)
    assert "cannot be opened" in run(*edit, "--folder", "Nowhere", status=1)
    assert "folder for imported emails" in run(*edit, "--messages", "all", status=1)
    assert "INBOX" in run("show", "--account", "Acme", mailbox_id)
    run(*edit, "--folder", "Nowhere", "--skip-test", "--done-folder", "Done")
    assert "Nowhere" in run("show", "--account", "Acme", mailbox_id)
    assert "cannot be opened" in run("pull", "--dry-run", mailbox_id, status=1)
    run(*edit, "--folder", "INBOX", "--done-folder", "")
    assert "Error: The test failed: wrong" in run(*edit, "--secrets", typed="x\n", status=1)
    run("pause", "--account", "Acme", mailbox_id)
    assert "paused" in run("list", "--account", "Acme")
    assert "Resume it" in run("pull", mailbox_id, status=1)
    run("resume", "--account", "Acme", mailbox_id)
    assert "1 imported" in run("pull", mailbox_id)


def test_own_certificate_authority_is_read_from_a_file(
    run: Run, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    assert "certificate" in refused_add(run, port)
    mailbox_id = add(run, port, "--ca-certificates-file", str(tmp_path / "ca.pem"))
    assert "1 imported" in run("pull", mailbox_id)
    (tmp_path / "none.pem").write_bytes(b"\xff")
    assert "cannot be read as text" in refused_add(
        run, port, "--ca-certificates-file", str(tmp_path / "none.pem")
    )
