"""A small POP3 server on loopback with TLS, which deletes messages when a session ends."""

import base64
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Maildrop:
    """The messages by unique id, in their order.

    sizes           sizes that the server reports instead of the real ones
    refusals        the response to a command, by its words
    starttls        the response to STLS if the server is served without TLS
    stalls_at       the server does not answer a command with these words, and sets ``stalled``
    breaks_at       the server closes the connection at a command with one of these words
    unlisted        what the server sends for a list of messages instead of a correct list
    is_slow         the server sends one octet of a message after the other, without an end
    is_flooding     the server sends a list of messages without an end
    keeps_deleted   the server refuses to delete messages at the end of a session
    fetched         the unique ids of the messages that were sent
    commands        all commands, without passwords
    """

    content: dict[str, bytes]
    sizes: dict[str, int] = field(default_factory=dict)
    username: str = "reports@acme.test"
    password: str = "open sesame"
    refusals: dict[str, str] = field(default_factory=dict)
    starttls: str = "+OK begin TLS"
    stalls_at: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    breaks_at: tuple[str, ...] = ()
    unlisted: bytes = b""
    is_slow: bool = False
    is_flooding: bool = False
    keeps_deleted: bool = False
    fetched: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)


class _Session(socketserver.StreamRequestHandler):
    maildrop: Maildrop
    context: ssl.SSLContext  # for STLS

    def setup(self) -> None:
        super().setup()
        self.username, self.is_logged_in = "", False
        self.unique_ids = list(self.maildrop.content)
        self.deleted: set[str] = set()

    def handle(self) -> None:
        self.send_line("+OK here")
        while line := self.rfile.readline():
            words = line.decode().rstrip("\r\n")
            maildrop = self.maildrop
            maildrop.commands.append(words.partition(" ")[0] if "PASS" in words else words)
            if any(text in words for text in maildrop.breaks_at):
                return
            if maildrop.stalls_at and maildrop.stalls_at in words:
                maildrop.stalled.set()
                continue
            if not self.answer(words):
                return

    def answer(self, words: str) -> bool:
        verb, _, argument = words.partition(" ")
        if (refusal := self.maildrop.refusals.get(words)) is not None:
            self.send_line(refusal)
        elif verb == "STLS":
            self.start_tls()
        elif verb in ("USER", "PASS", "AUTH"):
            self.authenticate(verb, argument)
        elif verb == "QUIT":
            self.quit()
            return False
        elif not self.is_logged_in:
            self.send_line("-ERR log in first")
        elif verb in ("UIDL", "LIST"):
            self.send_list(verb)
        else:
            self.handle_message(verb, self.unique_ids[int(argument) - 1])
        return True

    def handle_message(self, verb: str, unique_id: str) -> None:
        if verb == "RETR":
            self.send_message(unique_id)
        else:
            self.deleted.add(unique_id)
            self.send_line("+OK marked")

    def authenticate(self, verb: str, argument: str) -> None:
        maildrop = self.maildrop
        if verb == "USER":
            self.username = argument
            self.send_line("+OK")
            return
        if verb == "PASS":
            is_right = (self.username, argument) == (maildrop.username, maildrop.password)
        else:
            response = base64.b64decode(argument.removeprefix("PLAIN ")).decode()
            is_right = response == f"\0{maildrop.username}\0{maildrop.password}"
        self.is_logged_in = is_right
        self.send_line("+OK" if is_right else "-ERR [AUTH] wrong password")

    def start_tls(self) -> None:
        self.send_line(self.maildrop.starttls)
        if self.maildrop.starttls.startswith("+OK"):
            self.request = self.context.wrap_socket(self.request, server_side=True)
            super().setup()

    def send_list(self, verb: str) -> None:
        maildrop = self.maildrop
        self.send_line("+OK")
        while maildrop.is_flooding:
            self.send_line("1 " + "x" * 10_000)
        for number, unique_id in enumerate(self.unique_ids, 1):
            size = maildrop.sizes.get(unique_id, len(maildrop.content[unique_id]))
            self.send_line(f"{number} {unique_id if verb == 'UIDL' else size}")
        self.wfile.write(maildrop.unlisted + b".\r\n")

    def send_message(self, unique_id: str) -> None:
        self.maildrop.fetched.append(unique_id)
        self.send_line("+OK")
        while self.maildrop.is_slow:
            self.wfile.write(b"*")
            time.sleep(0.01)
        content = self.maildrop.content[unique_id]
        for line in content.splitlines(keepends=True):
            self.wfile.write((b"." if line.startswith(b".") else b"") + line)
        self.wfile.write(b".\r\n" if content.endswith(b"\n") else b"\r\n.\r\n")

    def quit(self) -> None:
        if self.maildrop.keeps_deleted and self.deleted:
            self.send_line("-ERR some deleted messages not removed")
            return
        for unique_id in self.deleted:
            del self.maildrop.content[unique_id]
        self.send_line("+OK bye")

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server only knows the socket from before STLS

    def send_line(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


@contextmanager
def serving(
    maildrop: Maildrop, context: ssl.SSLContext, *, has_starttls: bool = False
) -> Iterator[int]:
    """The server, with TLS from the beginning or after STLS; its port."""
    handler = type("Session", (_Session,), {"maildrop": maildrop, "context": context})
    with _Server(("127.0.0.1", 0), handler) as server:
        if not has_starttls:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def numbered(contents: Sequence[bytes]) -> Maildrop:
    """These messages, with the unique ids ``uid-1`` and so on."""
    return Maildrop({f"uid-{number}": content for number, content in enumerate(contents, 1)})
