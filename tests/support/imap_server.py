"""A small IMAP server on loopback with TLS, which records the changes of its mails."""

import base64
import re
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

PASSWORD = 'o"p\\en sesame'
READY = "OK begin TLS"


@dataclass(slots=True)
class Mails:
    """The mails by UID, their flags, and the moved mails by folder.

    sizes         sizes that the server reports instead of the real ones
    capabilities  those after the login; ``greeting`` has those before it
    folder        the name of the folder on the wire
    username      the user's name, as ``password``
    tokens        the access tokens that AUTHENTICATE XOAUTH2 and OAUTHBEARER accept
    malformed     the response to a FETCH command instead of a correct one
    folders       the names of the other folders on the wire; None if every name exists
    refusals      the response to the command for a mail, by its verb and UID
    status        the response to STARTTLS if the server is served without TLS, which begins
                  after the response READY only
    stalls_at     the server does not answer a command with these words, and sets ``stalled``
    breaks_at     the server closes the connection at a command with one of these words
    is_lying      the server announces more octets than a mail may have
    is_slow       the server sends one octet of a mail after the other, without an end
    is_flooding   the server answers a SEARCH with lines without an end
    """

    content: dict[int, bytes]
    flags: dict[int, set[str]] = field(default_factory=dict)
    moved: dict[str, list[int]] = field(default_factory=dict)
    sizes: dict[int, int] = field(default_factory=dict)
    capabilities: str = "IMAP4rev1 UIDPLUS MOVE"
    greeting: str = "IMAP4rev1 AUTH=PLAIN"
    folder: str = "INBOX"
    username: str = "reports@acme.test"
    password: str = PASSWORD
    tokens: set[str] = field(default_factory=set)
    mechanisms: list[str] = field(default_factory=list)
    folders: set[str] | None = None
    refusals: dict[tuple[str, int], str] = field(default_factory=dict)
    status: str = READY
    stalls_at: str = ""
    stalled: threading.Event = field(default_factory=threading.Event)
    malformed: bytes = b""
    is_lying: bool = False
    is_slow: bool = False
    is_flooding: bool = False
    fetched: list[int] = field(default_factory=list)
    breaks_at: tuple[str, ...] = ()


class _Session(socketserver.StreamRequestHandler):
    mails: Mails
    context: ssl.SSLContext  # for STARTTLS
    is_logged_in = False
    is_readonly = False

    def handle(self) -> None:
        self.send_line("* OK here")
        while line := self.rfile.readline():
            tag, _, words = line.decode().strip().partition(" ")
            if any(text in words for text in self.mails.breaks_at):
                return
            if self.mails.stalls_at and self.mails.stalls_at in words:
                self.mails.stalled.set()
                continue
            if not self.answer(tag, words):
                return

    def answer(self, tag: str, words: str) -> bool:
        verb = words.split(" ")[0].upper()
        status = "OK done"
        if verb == "CAPABILITY":
            mails = self.mails
            self.send_line(
                f"* CAPABILITY {mails.capabilities if self.is_logged_in else mails.greeting}"
            )
        elif verb in ("LOGIN", "AUTHENTICATE"):
            self.is_logged_in = self.authenticate(words)
            status = "OK done" if self.is_logged_in else "NO wrong password"
        elif verb in ("SELECT", "EXAMINE"):
            status = self.open_folder(verb, words)
        elif verb in ("STATUS", "CREATE"):
            status = self.other_folder(verb, re.findall(r'"([^"]*)"', words)[0])
        elif verb == "STARTTLS":
            self.start_tls(tag)
            return True
        elif verb == "UID":
            status = self.uid(words[4:])
        elif verb == "LOGOUT":
            self.send_line("* BYE")
        self.send_line(f"{tag} {status}")
        return verb != "LOGOUT"

    def authenticate(self, words: str) -> bool:
        mails = self.mails
        if words in ("AUTHENTICATE XOAUTH2", "AUTHENTICATE OAUTHBEARER"):
            return self.authenticate_with_token(words.partition(" ")[2])
        if words == "AUTHENTICATE PLAIN":
            self.send_line("+ ")
            response = base64.b64decode(self.rfile.readline()).decode()
            return response == f"\0{mails.username}\0{mails.password}"
        escaped = mails.password.replace("\\", "\\\\").replace('"', '\\"')
        return words == f'LOGIN "{mails.username}" "{escaped}"'

    def authenticate_with_token(self, mechanism: str) -> bool:
        """Check the response of RFC 7628 §3.1, or of Google's XOAUTH2; an error is a challenge."""
        mails = self.mails
        mails.mechanisms.append(mechanism)
        self.send_line("+ ")
        response = base64.b64decode(self.rfile.readline()).decode()
        user = f"n,a={mails.username}," if mechanism == "OAUTHBEARER" else f"user={mails.username}"
        if any(response == f"{user}\x01auth=Bearer {token}\x01\x01" for token in mails.tokens):
            return True
        self.send_line("+ " + base64.b64encode(b'{"status":"invalid_token"}').decode())
        self.rfile.readline()
        return False

    def open_folder(self, verb: str, words: str) -> str:
        if words != f'{verb} "{self.mails.folder}"':
            return "NO such folder"
        self.is_readonly = verb == "EXAMINE"
        self.send_line(f"* {len(self.mails.content)} EXISTS")
        return "OK open"

    def other_folder(self, verb: str, name: str) -> str:
        folders = self.mails.folders
        if verb == "CREATE" and folders is not None:
            folders.add(name)
        elif folders is not None and name not in folders:
            return "NO [NONEXISTENT] no folder of this name"
        else:
            self.send_line(f'* STATUS "{name}" (MESSAGES 0)')
        return "OK done"

    def start_tls(self, tag: str) -> None:
        self.send_line(f"{tag} {self.mails.status}")
        if self.mails.status == READY:
            self.request = self.context.wrap_socket(self.request, server_side=True)
            self.setup()

    def finish(self) -> None:
        super().finish()
        self.request.close()  # the server only knows the socket from before STARTTLS

    def uid(self, words: str) -> str:
        verb, _, rest = words.partition(" ")
        if verb == "SEARCH":
            self.search(rest)
            return "OK done"
        uid = int(rest.split(" ")[0])
        if (refusal := self.mails.refusals.get((verb, uid))) is not None:
            return refusal
        if verb == "FETCH":
            self.fetch(uid, rest)
        elif self.is_readonly:
            return "NO the folder was opened with EXAMINE"
        else:
            self.change(verb, uid, rest)
        return "OK done"

    def search(self, criteria: str) -> None:
        mails = self.mails
        while mails.is_flooding:
            self.send_line("* OK " + "x" * 10_000)
        away = {r"\Deleted", r"\Seen"} if "UNSEEN" in criteria else {r"\Deleted"}
        uids = [uid for uid in sorted(mails.content) if not mails.flags.get(uid, set()) & away]
        self.send_line("* SEARCH " + " ".join(map(str, uids)))

    def fetch(self, uid: int, items: str) -> None:
        mails = self.mails
        content = mails.content.get(uid, b"")
        if mails.malformed:
            self.wfile.write(mails.malformed + b"\r\n")
        elif "RFC822.SIZE" in items:
            self.send_line(
                f"* 1 FETCH (UID {uid} RFC822.SIZE {mails.sizes.get(uid, len(content))})"
            )
        else:
            self.send_message(uid, content)

    def change(self, verb: str, uid: int, rest: str) -> None:
        mails = self.mails
        if verb == "STORE":
            mails.flags.setdefault(uid, set()).update(re.findall(r"\\\w+", rest))
        elif verb in ("MOVE", "COPY"):
            mails.moved.setdefault(rest.partition(" ")[2].strip('"'), []).append(uid)
            if verb == "MOVE":
                del mails.content[uid]
        elif verb == "EXPUNGE":
            del mails.content[uid]

    def send_message(self, uid: int, content: bytes) -> None:
        self.mails.fetched.append(uid)
        while self.mails.is_slow:
            self.wfile.write(b"*")
            time.sleep(0.01)
        size = 2**40 if self.mails.is_lying else len(content)
        self.wfile.write(b"* 1 FETCH (UID %d BODY[] {%d}\r\n" % (uid, size) + content)
        self.send_line(")")

    def send_line(self, line: str) -> None:
        self.wfile.write(line.encode() + b"\r\n")


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore clients that disconnect."""


@contextmanager
def serving(mails: Mails, context: ssl.SSLContext, *, has_starttls: bool = False) -> Iterator[int]:
    """The server, with TLS from the beginning or after STARTTLS; its port."""
    handler = type("Session", (_Session,), {"mails": mails, "context": context})
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


def numbered(contents: Sequence[bytes]) -> Mails:
    """These mails, from UID 1 on."""
    return Mails(dict(enumerate(contents, 1)))
