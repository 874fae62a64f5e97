"""Mails by LMTP and SMTP: known recipients only, and acknowledged once they are committed."""

import asyncio
import io
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, select

from app import logs
from app import settings as app_settings
from app.db import transactions
from app.db.transactions import transaction
from app.listen_address import Listen
from app.models import IngestToken, ReportFile
from app.protocols.report_formats.limits import LIMITS
from app.services.filing import processor
from app.services.ingest import tokens
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml
from worker import smtp_receiver

pytestmark = pytest.mark.usefixtures("database")

MAIL = b"From: noreply@receiver.test\r\nContent-Type: text/xml\r\n\r\n" + dmarc_xml()


@contextmanager
def listening(is_lmtp: bool) -> Iterator[int]:
    """A listener on loopback; the port."""
    with serving(Listen(is_lmtp, "127.0.0.1", 0)) as server:
        yield server.sockets[0].getsockname()[1]


@contextmanager
def serving(listen: Listen) -> Iterator[asyncio.Server]:
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(smtp_receiver.serve(listen))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


class Client:
    """A client that is connected and has named the sender of the mail."""

    def __init__(self, port: int, is_lmtp: bool) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.file = self.socket.makefile("rb")
        self.greeting = self.reply()
        self.features = self.send_line("LHLO mx.test" if is_lmtp else "EHLO mx.test")
        self.send_line("MAIL FROM:<noreply@receiver.test>")

    def send_line(self, line: str) -> bytes:
        """Send a line; the reply to it."""
        self.socket.sendall(line.encode() + b"\r\n")
        return self.reply()

    def reply(self) -> bytes:
        """The next reply, which may have several lines."""
        lines = [self.file.readline()]
        while lines[-1][3:4] == b"-":
            lines.append(self.file.readline())
        return b"".join(lines)

    def send(self, raw: bytes, replies: int = 1) -> list[bytes]:
        """Send the mail and return the codes of this number of replies; no further one follows."""
        assert self.send_line("DATA").startswith(b"354")
        self.socket.sendall(raw + b"\r\n.\r\n")
        codes = [self.reply()[:3] for _ in range(replies)]
        assert self.send_line("NOOP").startswith(b"250")
        return codes


@contextmanager
def client(is_lmtp: bool) -> Iterator[Client]:
    """A client that is connected to a separate listener."""
    with listening(is_lmtp) as port:
        connection = Client(port, is_lmtp)
        try:
            yield connection
        finally:
            connection.send_line("QUIT")
            connection.file.close()
            connection.socket.close()


def token() -> IngestToken:
    account = make_account()
    make_domain(account.id, "acme.test")
    return tokens.create(account.id, actor=ACTOR)


def recipient(of: IngestToken) -> str:
    return f"RCPT TO:<r-{of.token}@ingest.monitoring.test>"


def report_files_of(account_id: UUID) -> list[ReportFile]:
    with transaction(readonly=True) as session:
        return list(session.scalars(select(ReportFile).where(ReportFile.account_id == account_id)))


@pytest.mark.parametrize("is_lmtp", [True, False])
def test_mail_over_the_rate_limit_gets_a_temporary_error(is_lmtp: bool, settings: Settings) -> None:
    app_settings.use(settings.replace(ingest_source_rate_limit="2 per hour"))
    address = token()
    with client(is_lmtp) as connection:
        codes = []
        for number in range(3):
            connection.send_line(recipient(address))
            codes += connection.send(MAIL + b"%d" % number)
            connection.send_line("MAIL FROM:<noreply@receiver.test>")
    assert codes == [b"250", b"250", b"451"]
    assert len(report_files_of(address.account_id)) == 2


@pytest.mark.parametrize("is_lmtp", [True, False])
def test_mail_is_stored_for_its_account_and_processed(is_lmtp: bool) -> None:
    address = token()
    with client(is_lmtp) as connection:
        assert connection.send_line(recipient(address)).startswith(b"250")
        assert connection.send(MAIL) == [b"250"]
    [report_file] = report_files_of(address.account_id)
    assert (report_file.received_via, report_file.status) == ("mail", "received")
    processor.run([report_file.id])
    [report_file] = report_files_of(address.account_id)
    assert (report_file.status, report_file.provenance) == ("parsed", "unverified")


@pytest.mark.parametrize(
    "address",
    ["r-0000000000000000000000@ingest.monitoring.test", "postmaster@x.test", "r-@x.test"],
)
def test_other_recipients_are_rejected(address: str) -> None:
    with client(True) as connection:
        assert connection.send_line(f"RCPT TO:<{address}>").startswith(b"550")


def test_revoked_address_is_unknown() -> None:
    address = token()
    tokens.revoke(address.account_id, address.token, actor=ACTOR)
    with client(True) as connection:
        assert connection.send_line(recipient(address)).startswith(b"550")


def test_lmtp_replies_to_each_recipient() -> None:
    first, second = token(), token()
    with client(True) as connection:
        connection.send_line(recipient(first))
        connection.send_line(recipient(second))
        tokens.revoke(second.account_id, second.token, actor=ACTOR)
        assert connection.send(MAIL, replies=2) == [b"250", b"550"]
    assert [len(report_files_of(address.account_id)) for address in (first, second)] == [1, 0]


@pytest.mark.parametrize("is_lmtp", [True, False])
def test_long_lines_are_accepted_up_to_the_limit(is_lmtp: bool) -> None:
    address = token()
    longest = smtp_receiver.MAX_LINE - 2
    with client(is_lmtp) as connection:
        codes = []
        for length in (2_624, longest, longest + 1):
            connection.send_line(recipient(address))
            codes += connection.send(MAIL + b"\r\n" + b"x" * length)
            connection.send_line("MAIL FROM:<noreply@receiver.test>")
    assert codes == [b"250", b"250", b"500"]
    assert len(report_files_of(address.account_id)) == 2


def test_too_large_mail_is_refused_for_each_recipient() -> None:
    first, second = token(), token()
    line = b"x" * 900 + b"\r\n"
    with client(True) as connection:
        assert f"SIZE {LIMITS.message}".encode() in connection.features
        connection.send_line(recipient(first))
        connection.send_line(recipient(second))
        raw = MAIL + b"\r\n" + line * (LIMITS.message // len(line))
        assert connection.send(raw, replies=2) == [b"552", b"552"]
    assert not report_files_of(first.account_id)


@pytest.mark.parametrize("is_late", [True, False])
def test_unavailable_database_is_a_temporary_error(database: Engine, is_late: bool) -> None:
    address = token()
    url = "postgresql+psycopg://127.0.0.1:1/none"
    away = create_engine(url, connect_args={"connect_timeout": 1})
    with client(True) as connection:
        try:
            if is_late:
                assert connection.send_line(recipient(address)).startswith(b"250")
                transactions.bind(away)
                assert connection.send(MAIL) == [b"451"]
            else:
                transactions.bind(away)
                assert connection.send_line(recipient(address)).startswith(b"451")
        finally:
            transactions.bind(database)
    assert not report_files_of(address.account_id)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """The log output of a process."""
    root, text = logging.root, io.StringIO()
    handlers, level = root.handlers[:], root.level
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", text)
        logs.configure("info")
    yield text
    root.handlers[:] = handlers
    root.setLevel(level)


def test_mail_addresses_are_not_logged(written: io.StringIO) -> None:
    address = token()
    with client(True) as connection:
        connection.send_line(recipient(address))
        connection.send(MAIL)
    logging.getLogger("worker.smtp_receiver").info("listening")
    assert "listening" in written.getvalue()
    assert address.token not in written.getvalue()


def test_number_of_connections_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp_receiver, "MAX_CONNECTIONS", 1)
    with listening(True) as port:
        first = Client(port, True)
        with socket.create_connection(("127.0.0.1", port), timeout=20) as second:
            assert second.recv(3) == b"421"
        first.send_line("QUIT")
        first.file.close()
        first.socket.close()


def greeting(path: Path) -> bytes:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(str(path))
        return connection.recv(3)


def test_second_process_does_not_take_the_socket_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "reports.sock"
    with serving(Listen(True, path=str(path))):
        with pytest.raises(smtp_receiver.AddressInUse, match="another process listens on"):
            asyncio.run(smtp_receiver.serve(Listen(True, path=str(path))))
        assert greeting(path) == b"220"


def test_unused_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "reports.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with serving(Listen(True, path=str(path))):
        assert greeting(path) == b"220"


def test_file_that_is_not_a_socket_is_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "reports.sock"
    path.write_text("precious")
    with pytest.raises(smtp_receiver.AddressInUse, match="not a socket"):
        asyncio.run(smtp_receiver.serve(Listen(True, path=str(path))))
    assert path.read_text() == "precious"


def test_address_in_use_ends_the_process_with_a_message(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    with listening(True) as port:
        app_settings.use(settings.replace(smtp_listen=Listen(True, "127.0.0.1", port)))
        assert smtp_receiver.main() == 2
    assert capsys.readouterr().err == (
        f"SMTP_LISTEN: lmtp://127.0.0.1:{port} is in use by another process.\n"
    )
