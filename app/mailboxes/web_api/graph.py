"""Messages in a folder of a mailbox of Microsoft 365, through Microsoft Graph.

A stored message is moved, or marked as read if the mailbox has no folder for that. Messages are
listed in the order in which they were received, and each further page begins at the time of the
last message: pages that count messages would leave some out, because stored messages disappear.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from app.mailboxes import oauth
from app.mailboxes.config import MailboxConfig
from app.mailboxes.emails import UNREAD, Places
from app.mailboxes.types import Access, MailboxError, MessageError, WaitingMessage
from app.mailboxes.web_api import client
from app.mailboxes.web_api.client import Document, Service, WebApi
from app.mailboxes.web_api.graph_folders import Folder, Folders
from app.options import fields
from app.options.fields import OptionError
from app.protocols.report_formats.limits import LIMITS

PAGE_SIZE = 100
MAX_PAGES = 1_000  # of one listing
FIRST_TIME = "1900-01-01T00:00:00Z"
SIZE_PROPERTY = "Integer 0x0E08"  # PidTagMessageSize, as Graph has no other size of a message

_PERMISSION = "Grant the application the permission Mail.ReadWrite (type Application)"
ADVICE: Mapping[str, str] = {
    "ErrorAccessDenied": f"{_PERMISSION} with admin consent, for this mailbox.",
    "Authorization_RequestDenied": f"{_PERMISSION} with admin consent.",
    "ErrorInvalidUser": "Enter the address of a mailbox in this tenant.",
    "MailboxNotEnabledForRESTAPI": "Enter the address of a mailbox in Exchange Online.",
}


FOLDERS = Places(
    name="folder",
    imported_hint="Imported emails are moved to this folder, such as Inbox/Imported. Without it, "
    "they stay and are marked as read.",
)


class Cloud(NamedTuple):
    """The hosts of a cloud of Microsoft."""

    label: str
    api_host: str
    token_host: str


CLOUDS: Mapping[str, Cloud] = {
    "global": Cloud("Worldwide", "graph.microsoft.com", "login.microsoftonline.com"),
    "us_government": Cloud(
        "US Government (GCC High)", "graph.microsoft.us", "login.microsoftonline.us"
    ),
    "us_dod": Cloud(
        "US Department of Defense", "dod-graph.microsoft.us", "login.microsoftonline.us"
    ),
    "china": Cloud(
        "China (21Vianet)", "microsoftgraph.chinacloudapi.cn", "login.partner.microsoftonline.cn"
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphConfig(MailboxConfig):
    """A folder of a mailbox of Microsoft 365, with the access of an application."""

    type: ClassVar[str] = "graph"
    label: ClassVar[str] = "Microsoft 365 (Microsoft Graph)"
    description: ClassVar[str] = (
        "A mailbox of Microsoft 365, also a shared one, with an application and its client secret."
    )

    address: str = fields.text(
        "Mailbox address", most=320, placeholder="dmarc@example.com", is_bound=True
    )
    cloud: str = fields.choice(
        "Cloud",
        {name: cloud.label for name, cloud in CLOUDS.items()},
        default="global",
        is_bound=True,
        is_advanced=True,
    )
    tenant: str = fields.text("Directory (tenant) ID", most=253, is_bound=True)
    client_id: str = fields.text("Application (client) ID", most=100, is_bound=True)
    client_secret: str = fields.secret("Client secret", most=500)
    folder: str = FOLDERS.source(default="Inbox")
    messages: str = FOLDERS.messages()
    done_folder: str = FOLDERS.done()
    missing_folder: str = FOLDERS.missing()

    @property
    def title(self) -> str:
        return self.address

    @property
    def location(self) -> str:
        return f"{CLOUDS[self.cloud].api_host}, {self.folder}"

    @property
    def skips_read(self) -> bool:
        """Whether messages that are marked as read are not fetched."""
        return self.messages == UNREAD

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the tenant and the folders."""
        yield from oauth.tenant_problems(self.tenant)
        done = ("done_folder", self.done_folder)
        yield from FOLDERS.problems(self.messages, self.folder, done)

    @contextmanager
    def opened(self, access: Access) -> Iterator["GraphMailbox"]:
        """Find the folder; raises MailboxError."""
        cloud = CLOUDS[self.cloud]
        grant = oauth.client_credentials(
            host=cloud.token_host,
            path=f"/{self.tenant}/oauth2/v2.0/token",
            client_id=self.client_id,
            client_secret=self.client_secret,
            scope=f"https://{cloud.api_host}/.default",
        )
        api = WebApi(service(cloud.api_host), access, oauth.Tokens(access, grant))
        yield GraphMailbox(api, self, is_readonly=access.is_readonly)


def service(host: str) -> Service:
    """Return the API of a cloud."""
    return Service(host=host, headers={"Prefer": 'IdType="ImmutableId"'}, advice=ADVICE)


class GraphMailbox:
    """An open folder, as a ``Mailbox``."""

    keeps_messages = False

    def __init__(self, api: WebApi, config: GraphConfig, *, is_readonly: bool) -> None:
        self._api, self._config, self._is_readonly = api, config, is_readonly
        self._user = f"/v1.0/users/{quote(config.address, safe='@')}"
        self._folders = Folders(api, self._user)
        self._folder = self._folders.find(config.folder)

    @property
    def message_count(self) -> int | None:
        """The number of messages in the folder."""
        return self._folder.message_count

    @property
    def read_count(self) -> int | None:
        """The number of messages that ``messages`` leaves out because they are read."""
        total, unread = self._folder.message_count, self._folder.unread_count
        if total is None or unread is None or not self._config.skips_read:
            return None
        return max(0, total - unread)

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield the messages, oldest first; raises MailboxError."""
        done_folder = self._done_folder(is_created=not self._is_readonly)
        for document in self._listed():
            message_id = client.text_of(document, "id")
            yield WaitingMessage(
                key=message_id,
                name=f"{client.text_of(document, 'receivedDateTime')} {message_id}",
                size=partial(_size, document),
                read=partial(self._read, message_id),
                acknowledge=partial(self._acknowledge, message_id, done_folder),
            )

    def test(self) -> None:
        """Look for the folder for stored messages, and create it if the mailbox is set up so."""
        self._done_folder(is_created=True)

    def _done_folder(self, *, is_created: bool) -> Folder | None:
        if not self._config.done_folder:
            return None
        is_created = is_created and self._config.missing_folder == "create"
        return self._folders.find(self._config.done_folder, is_created=is_created)

    def _listed(self) -> Iterator[Document]:
        """Yield each message once, while messages disappear."""
        seen: set[str] = set()
        path = self._first_page(FIRST_TIME)
        for _ in range(MAX_PAGES):
            page = self._api.get(path)
            documents = client.objects_of(page, "value")
            unseen = [item for item in documents if client.text_of(item, "id") not in seen]
            yield from unseen
            if "@odata.nextLink" not in page:
                return
            if unseen:
                seen.update(client.text_of(item, "id") for item in unseen)
                path = self._first_page(client.text_of(unseen[-1], "receivedDateTime"))
            else:  # more messages were received in one second than a page has
                path = self._next_page(client.text_of(page, "@odata.nextLink"))
        raise MailboxError(f"the service listed more than {MAX_PAGES} pages of messages")

    def _first_page(self, since: str) -> str:
        """Return the path of the messages that were received at that time or later."""
        unread = " and isRead eq false" if self._config.skips_read else ""
        query = {
            "$select": "id,receivedDateTime",
            "$expand": f"singleValueExtendedProperties($filter=id eq '{SIZE_PROPERTY}')",
            "$filter": f"receivedDateTime ge {since}{unread}",
            "$orderby": "receivedDateTime",
            "$top": str(PAGE_SIZE),
        }
        folder = quote(self._folder.id, safe="")
        return f"{self._user}/mailFolders/{folder}/messages?{urlencode(query)}"

    def _next_page(self, url: str) -> str:
        """Return the path in the URL, which must be one of the service, as it gets the token."""
        try:
            parts = urlsplit(url)
            is_own = parts.scheme == "https" and parts.hostname == self._api.service.host
        except ValueError:
            is_own = False
        if not is_own:
            raise client.malformed()
        return f"{parts.path}?{parts.query}"

    def _read(self, message_id: str) -> bytes:
        with client.one_message():
            content = self._api.download(f"{self._path(message_id)}/$value", LIMITS.message)
        if content is None:
            raise MessageError(f"larger than {LIMITS.message // 1024**2} MiB")
        return content

    def _acknowledge(self, message_id: str, done_folder: Folder | None) -> None:
        path = self._path(message_id)
        with client.one_message():
            if done_folder is None:
                self._api.send("PATCH", path, {"isRead": True})
            else:
                self._api.send("POST", f"{path}/move", {"destinationId": done_folder.id})

    def _path(self, message_id: str) -> str:
        return f"{self._user}/messages/{quote(message_id, safe='')}"


def _size(document: Document) -> int:
    """Return the size that Exchange reports; reading is limited too, so it may be missing."""
    for item in client.objects_of(document, "singleValueExtendedProperties"):
        value = str(item.get("value"))
        if value.isascii() and value.isdigit() and len(value) < 19:
            return int(value)
    return 0
