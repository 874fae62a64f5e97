"""POP3 mailboxes at Dovecot, where it is installed."""

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from app.mailboxes.pop3 import Pop3Config
from app.mailboxes.types import MailboxError
from app.services.mailboxes.access import Connection
from tests.support import dovecot_server

PASSWORD = "grüße an alle"
CONTENTS = [
    b"Subject: 1\r\n\r\n.dots\r\n..\r\n",
    b"Subject: 2\r\n\r\n" + b"x" * 100_000 + b"\r\n",
    b"Subject: 3\r\n\r\n" + b"line\r\n" * 300_000,
]

pytestmark = [
    pytest.mark.usefixtures("database"),  # the client reads settings
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
    pytest.mark.skipif(not dovecot_server.has("pop3"), reason="Dovecot has no POP3 here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot starts its services as root only"),
]


@dataclass(frozen=True)
class Dovecot:
    """A running server."""

    maildir: Path
    ports: dict[str, int]
    authority: str

    def config(self, security: str, after_import: str, password: str = PASSWORD) -> Pop3Config:
        """Access to the mailbox of the server."""
        return Pop3Config(
            host="127.0.0.1",
            port=self.ports[security],
            security=security,
            username="reports@acme.test",
            password=password,
            after_import=after_import,
            ca_certificates=self.authority,
        )


@pytest.fixture
def dovecot() -> Iterator[Dovecot]:
    directory = Path(tempfile.mkdtemp(prefix="dovecot-"))
    directory.chmod(0o755)
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "certificate.pem"))
    new = directory / "mail" / "new"
    new.mkdir(parents=True)
    for number, content in enumerate(CONTENTS, 1):
        (new / f"{number}.mail").write_bytes(content)
    owner = pwd.getpwuid(dovecot_server.UNPRIVILEGED)
    for path in [directory / "mail", *(directory / "mail").rglob("*")]:
        os.chown(path, owner.pw_uid, owner.pw_gid)
    ports = {security: dovecot_server.free_port() for security in ("tls", "starttls")}
    (directory / "users").write_text(
        f"reports@acme.test:{{PLAIN}}{PASSWORD}:{owner.pw_uid}:{owner.pw_gid}::{directory}/mail\n"
    )
    (directory / "dovecot.conf").write_text(_configuration(directory, ports, owner.pw_uid))
    with dovecot_server.running(directory, ports.values()):
        pem = authority.cert_pem.bytes().decode()
        yield Dovecot(directory / "mail", ports, pem)
    shutil.rmtree(directory)


def _configuration(directory: Path, ports: dict[str, int], uid: int) -> str:
    return f"""
protocols = pop3
listen = 127.0.0.1
base_dir = {directory}/run
log_path = {directory}/log
ssl = required
ssl_cert = <{directory}/certificate.pem
ssl_key = <{directory}/certificate.pem
mail_location = maildir:%h
first_valid_uid = {uid}
first_valid_gid = 1
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = passwd-file
  args = {directory}/users
}}
service pop3-login {{
  inet_listener pop3 {{
    port = {ports["starttls"]}
  }}
  inet_listener pop3s {{
    port = {ports["tls"]}
    ssl = yes
  }}
}}
"""


@pytest.mark.parametrize("security", ["tls", "starttls"])
def test_messages_of_dovecot_are_read_and_deleted(dovecot: Dovecot, security: str) -> None:
    for after_import, rest in (("keep", len(CONTENTS)), ("delete", 0)):
        config = dovecot.config(security, after_import)
        with Connection(config=config, is_private=True).opened() as mailbox:
            contents = []
            for message in mailbox.messages():
                content = message.read()
                assert message.size() == len(content)
                contents.append(content)
                message.acknowledge()
            assert sorted(contents) == sorted(CONTENTS)
        with Connection(config=config, is_private=True).opened() as mailbox:
            assert mailbox.message_count == rest
    files = [path for path in dovecot.maildir.rglob("*") if path.parent.name in ("new", "cur")]
    assert files == []


def test_refusal_has_the_words_of_dovecot(dovecot: Dovecot) -> None:
    config = dovecot.config("tls", "keep", password="wrong")
    with (
        pytest.raises(MailboxError, match=r"\[AUTH\] Authentication failed"),
        Connection(config=config, is_private=True).opened(),
    ):
        pytest.fail("the password is wrong")
