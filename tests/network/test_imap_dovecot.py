"""IMAP mailboxes at Dovecot, which checks access tokens by introspection (RFC 7662)."""

import os
import pwd
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from flask import Flask, request
from werkzeug.serving import make_server

from app.mailboxes.imap_oauth import ImapGmailConfig
from app.mailboxes.types import MailboxError, SignInRequired
from app.network.session import LiveNetwork
from app.services.mailboxes.access import Connection
from app.settings import Settings
from tests.support import dovecot_server, token_server
from tests.support.token_server import CLIENT_ID, CLIENT_SECRET, TokenServer

USER, TOKEN_HOST = "reports@acme.test", "login.provider.test"
CONTENTS = [b"Subject: 1\r\n\r\n.dots\r\n", b"Subject: 2\r\n\r\n" + b"x" * 100_000 + b"\r\n"]

pytestmark = [
    pytest.mark.skipif(not dovecot_server.has("imap"), reason="Dovecot has no IMAP here"),
    pytest.mark.skipif(os.geteuid() != 0, reason="Dovecot starts its services as root only"),
    pytest.mark.usefixtures("database"),  # the client reads settings
    pytest.mark.parametrize("database_url", ["sqlite"], indirect=True),
]


@dataclass(frozen=True)
class Provider:
    """A provider with Dovecot and a token endpoint, and the access to a mailbox there."""

    tokens: TokenServer
    connection: Connection
    config: ImapGmailConfig


@contextmanager
def introspecting(tokens: TokenServer) -> Iterator[int]:
    """Tell Dovecot which access tokens are valid, and for whom; the port."""
    app = Flask(__name__)

    @app.post("/introspect")
    def introspect() -> dict[str, object]:
        is_active = request.form["token"] in tokens.access_tokens
        return {"active": is_active, **({"username": USER} if is_active else {})}

    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def provider(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Provider]:
    directory = Path(tempfile.mkdtemp(prefix="dovecot-"))
    directory.chmod(0o755)
    authority = trustme.CA()
    monkeypatch.setenv("SSL_CERT_FILE", token_server.trust(authority, tmp_path))
    certificate = authority.issue_cert("127.0.0.1")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(directory / "certificate.pem"))
    owner = pwd.getpwuid(dovecot_server.UNPRIVILEGED)
    _write_mails(directory / "mail", owner)
    port = dovecot_server.free_port()
    with ExitStack() as stack:
        tokens = stack.enter_context(token_server.serving(authority, TOKEN_HOST))
        introspection = stack.enter_context(introspecting(tokens))
        (directory / "oauth2.conf").write_text(
            f"introspection_url = http://127.0.0.1:{introspection}/introspect\n"
            "introspection_mode = post\nusername_attribute = username\n"
            "active_attribute = active\nactive_value = true\n"
        )
        (directory / "dovecot.conf").write_text(_configuration(directory, port, owner))
        stack.enter_context(dovecot_server.running(directory, [port]))
        connect_to = ((TOKEN_HOST, "127.0.0.1", tokens.port),)
        network = LiveNetwork(settings.replace(egress_connect_to=connect_to))
        config = ImapGmailConfig(
            username=USER,
            client_id=CLIENT_ID,
            client_secret=CLIENT_SECRET,
            refresh_token="refresh-0",
            host="127.0.0.1",
            port=port,
            token_host=TOKEN_HOST,
        )
        connection = Connection(config=config, is_private=True, network=network)
        yield Provider(tokens, connection, config)
    shutil.rmtree(directory)


def _write_mails(maildir: Path, owner: pwd.struct_passwd) -> None:
    (maildir / "new").mkdir(parents=True)
    for number, content in enumerate(CONTENTS, 1):
        (maildir / "new" / f"{number}.mail").write_bytes(content)
    for path in [maildir, *maildir.rglob("*")]:
        os.chown(path, owner.pw_uid, owner.pw_gid)


def _configuration(directory: Path, port: int, owner: pwd.struct_passwd) -> str:
    return f"""
protocols = imap
listen = 127.0.0.1
base_dir = {directory}/run
log_path = {directory}/log
ssl = required
ssl_cert = <{directory}/certificate.pem
ssl_key = <{directory}/certificate.pem
mail_location = maildir:{directory}/mail
first_valid_uid = {owner.pw_uid}
first_valid_gid = 1
auth_mechanisms = oauthbearer xoauth2
passdb {{
  driver = oauth2
  mechanisms = oauthbearer xoauth2
  args = {directory}/oauth2.conf
}}
userdb {{
  driver = static
  args = uid={owner.pw_uid} gid={owner.pw_gid} home={directory}/mail
}}
service imap-login {{
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {port}
    ssl = yes
  }}
}}
"""


def test_mails_are_read_and_acknowledged_with_an_access_token(provider: Provider) -> None:
    for expected in (CONTENTS, []):
        with provider.connection.opened() as mailbox:
            contents = []
            for message in mailbox.messages():
                contents.append(message.read())
                message.acknowledge()
        assert sorted(contents) == sorted(expected)
    assert len(provider.tokens.forms) == 1


def test_token_that_dovecot_no_longer_accepts_is_renewed(provider: Provider) -> None:
    with provider.connection.opened() as mailbox:
        assert mailbox.message_count == len(CONTENTS)
    provider.tokens.access_tokens.clear()
    with provider.connection.opened() as mailbox:
        assert mailbox.message_count == len(CONTENTS)
    assert len(provider.tokens.forms) == 2


def test_revoked_access_needs_a_person(provider: Provider) -> None:
    with provider.connection.opened():
        provider.tokens.access_tokens.clear()
    provider.tokens.refresh_tokens.clear()
    with pytest.raises(SignInRequired, match="expired or revoked"), provider.connection.opened():
        pytest.fail("the access was revoked")


def test_token_of_another_person_is_refused_with_advice(provider: Provider) -> None:
    other = replace(provider.config, username="other@acme.test")
    connection = replace(provider.connection, config=other)
    with pytest.raises(MailboxError, match="Check that IMAP is enabled"), connection.opened():
        pytest.fail("the token is for another person")
