"""IMAP mailboxes of Microsoft 365 and Gmail, which are opened with OAuth 2.0 access tokens.

The servers are options, because national clouds have their own. Secrets are bound to them.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar
from urllib.parse import quote

from app.mailboxes import imap, oauth
from app.mailboxes.config import MailboxConfig
from app.mailboxes.imap import FolderOptions, ImapMailbox, LoginRefused, Server
from app.mailboxes.oauth import Grant
from app.mailboxes.types import Access, MailboxError
from app.options import fields
from app.options.fields import OptionError

PORT = 993
MICROSOFT_HOST, MICROSOFT_TOKEN_HOST = "outlook.office365.com", "login.microsoftonline.com"
GOOGLE_HOST, GOOGLE_TOKEN_HOST = "imap.gmail.com", "oauth2.googleapis.com"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapMicrosoftConfig(MailboxConfig):
    """A folder of a mailbox of Microsoft 365 over IMAP."""

    type: ClassVar[str] = "imap_microsoft"
    label: ClassVar[str] = "Microsoft 365 (IMAP)"
    description: ClassVar[str] = (
        "A mailbox of Microsoft 365 over IMAP, with an application or a refresh token."
    )

    username: str = fields.text(
        "Mailbox address", most=320, placeholder="dmarc@example.com", is_bound=True
    )
    tenant: str = fields.text("Directory (tenant) ID", most=253, is_bound=True)
    client_id: str = fields.text("Application (client) ID", most=100, is_bound=True)
    sign_in: str = fields.choice(
        "Sign in as",
        {"application": "The application (client secret)", "person": "A person (refresh token)"},
        default="application",
        is_bound=True,
    )
    client_secret: str = fields.secret(
        "Client secret",
        most=500,
        default="",
        hint="Required to sign in as the application.",
        needed_with={"sign_in": ("application",)},
        is_used_otherwise=True,
    )
    refresh_token: str = fields.secret(
        "Refresh token",
        default="",
        hint="Required to sign in as a person.",
        needed_with={"sign_in": ("person",)},
    )
    folder: str = imap.FOLDERS.source(default="INBOX")
    messages: str = imap.FOLDERS.messages()
    done_folder: str = imap.FOLDERS.done()
    missing_folder: str = imap.FOLDERS.missing()
    host: str = fields.host("IMAP server", default=MICROSOFT_HOST, is_advanced=True)
    port: int | None = fields.port(is_advanced=True)
    token_host: str = fields.host("Sign-in server", default=MICROSOFT_TOKEN_HOST, is_advanced=True)

    @property
    def title(self) -> str:
        return self.username

    @property
    def location(self) -> str:
        return f"{self.host}, {self.folder}"

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the tenant and the folders."""
        yield from oauth.tenant_problems(self.tenant)
        yield from imap.folder_problems(self)

    @property
    def grant(self) -> Grant:
        """How access tokens are requested."""
        path = f"/{quote(self.tenant, safe='')}/oauth2/v2.0/token"
        if self.sign_in == "application":
            return oauth.client_credentials(
                self.token_host,
                path,
                client_id=self.client_id,
                client_secret=self.client_secret,
                scope=f"https://{self.host}/.default",
            )
        return oauth.refresh_token(
            self.token_host,
            path,
            client_id=self.client_id,
            client_secret=self.client_secret,
            token=self.refresh_token,
        )

    @contextmanager
    def opened(self, access: Access) -> Iterator[ImapMailbox]:
        """Sign in with an access token and open the folder; raises MailboxError."""
        server = Server(self.host, self.port or PORT)
        advice = "Check that IMAP is enabled for the mailbox, and that access to it was granted."
        with _opened(server, access, self, _SignIn(self.username, self.grant, advice)) as mailbox:
            yield mailbox


@dataclass(frozen=True, slots=True, kw_only=True)
class ImapGmailConfig(MailboxConfig):
    """A folder of a Gmail mailbox over IMAP."""

    type: ClassVar[str] = "imap_gmail"
    label: ClassVar[str] = "Gmail (IMAP)"
    description: ClassVar[str] = (
        "A mailbox of Gmail or Google Workspace over IMAP, with a refresh token."
    )

    username: str = fields.text(
        "Email address", most=320, placeholder="dmarc@example.com", is_bound=True
    )
    client_id: str = fields.text("OAuth client ID", most=200, is_bound=True)
    client_secret: str = fields.secret("OAuth client secret", most=500)
    refresh_token: str = fields.secret("Refresh token")
    folder: str = imap.FOLDERS.source(default="INBOX")
    messages: str = imap.FOLDERS.messages()
    done_folder: str = imap.FOLDERS.done()
    missing_folder: str = imap.FOLDERS.missing()
    host: str = fields.host("IMAP server", default=GOOGLE_HOST, is_advanced=True)
    port: int | None = fields.port(is_advanced=True)
    token_host: str = fields.host("Sign-in server", default=GOOGLE_TOKEN_HOST, is_advanced=True)

    @property
    def title(self) -> str:
        return self.username

    @property
    def location(self) -> str:
        return f"{self.host}, {self.folder}"

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the folders."""
        return imap.folder_problems(self)

    @contextmanager
    def opened(self, access: Access) -> Iterator[ImapMailbox]:
        """Sign in with an access token and open the folder; raises MailboxError."""
        grant = oauth.refresh_token(
            self.token_host,
            "/token",
            client_id=self.client_id,
            client_secret=self.client_secret,
            token=self.refresh_token,
        )
        server = Server(self.host, self.port or PORT)
        advice = "Check that IMAP is enabled, and that the scope is https://mail.google.com/."
        with _opened(server, access, self, _SignIn(self.username, grant, advice)) as mailbox:
            yield mailbox


@dataclass(frozen=True, slots=True)
class _SignIn:
    """Who signs in, and what to check if the server refuses a new access token."""

    username: str
    grant: Grant
    advice: str


@contextmanager
def _opened(
    server: Server, access: Access, config: FolderOptions, sign_in: _SignIn
) -> Iterator[ImapMailbox]:
    """Open the folder with the stored access token, or with a new one if the server refuses it."""
    tokens = oauth.Tokens(access, sign_in.grant)

    def attempt(token: str) -> ImapMailbox:
        authenticate = partial(imap.authenticate, username=sign_in.username, token=token)
        return stack.enter_context(imap.opened(server, access, config, authenticate))

    with ExitStack() as stack:
        try:
            mailbox = attempt(tokens.current())
        except LoginRefused:
            token = tokens.renewed()
            try:
                mailbox = attempt(token)
            except LoginRefused as error:
                raise MailboxError(f"{error}. {sign_in.advice}") from None
        yield mailbox
