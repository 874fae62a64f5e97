"""Messages with a label in a Gmail mailbox, through the Gmail API.

A stored message gets another label and loses the one that it was found by; without another label it
is marked as read.
"""

import base64
import binascii
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar
from urllib.parse import quote, urlencode

from app.mailboxes import emails, oauth
from app.mailboxes.config import MailboxConfig
from app.mailboxes.emails import Places
from app.mailboxes.types import Access, MailboxError, MessageError, WaitingMessage
from app.mailboxes.web_api import client
from app.mailboxes.web_api.client import Service, WebApi
from app.options import fields
from app.options.fields import OptionError
from app.protocols.report_formats.limits import LIMITS

PAGE_SIZE = 500
MAX_PAGES = 10  # of one listing, which begins with the newest messages
UNREAD = "UNREAD"
_USER = "/gmail/v1/users/me"
_OVERHEAD = 64 * 1024  # of a response in addition to the message

LABELS = Places(
    name="label",
    imported_hint="Imported emails get this label and lose the other one. Without it, they keep "
    "their labels and are marked as read.",
)
TOKEN_HOST = "oauth2.googleapis.com"
SERVICE = Service(
    host="gmail.googleapis.com",
    headers={},
    advice={
        "insufficientPermissions": "Sign in again, and allow reading and changing emails "
        "(scope https://www.googleapis.com/auth/gmail.modify).",
        "accessNotConfigured": "Enable the Gmail API in the Google Cloud project.",
        "domainPolicy": "Ask the administrator of the domain to allow the application.",
        "failedPrecondition": "Check that Gmail is enabled for this user.",
    },
    throttling=(
        "rateLimitExceeded",
        "userRateLimitExceeded",
        "quotaExceeded",
        "dailyLimitExceeded",
        "backendError",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GmailConfig(MailboxConfig):
    """The emails with a label in a Gmail mailbox, with the access that its owner granted."""

    type: ClassVar[str] = "gmail"
    label: ClassVar[str] = "Gmail (Gmail API)"
    description: ClassVar[str] = "A mailbox of Gmail or Google Workspace, with a refresh token."

    address: str = fields.text("Email address", most=320, placeholder="dmarc@example.com")
    client_id: str = fields.text("OAuth client ID", most=200, is_bound=True)
    client_secret: str = fields.secret("OAuth client secret", most=500)
    refresh_token: str = fields.secret("Refresh token")
    label_name: str = LABELS.source(default="INBOX")
    messages: str = LABELS.messages()
    done_label: str = LABELS.done()
    missing_label: str = LABELS.missing()

    @property
    def title(self) -> str:
        return self.address

    @property
    def location(self) -> str:
        return f"{SERVICE.host}, {self.label_name}"

    @property
    def skips_read(self) -> bool:
        """Whether messages that are marked as read are not fetched."""
        return self.messages == emails.UNREAD

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the labels."""
        done = ("done_label", self.done_label)
        return LABELS.problems(self.messages, self.label_name, done)

    @contextmanager
    def opened(self, access: Access) -> Iterator["GmailMailbox"]:
        """Find the label; raises MailboxError."""
        grant = oauth.refresh_token(
            host=TOKEN_HOST,
            path="/token",
            client_id=self.client_id,
            client_secret=self.client_secret,
            token=self.refresh_token,
        )
        api = WebApi(SERVICE, access, oauth.Tokens(access, grant))
        yield GmailMailbox(api, self, is_readonly=access.is_readonly)


class GmailMailbox:
    """The messages with a label, as a ``Mailbox``."""

    keeps_messages = False

    def __init__(self, api: WebApi, config: GmailConfig, *, is_readonly: bool) -> None:
        self._api, self._config, self._is_readonly = api, config, is_readonly
        self._labels: dict[str, str] = {}
        for document in client.objects_of(api.get(f"{_USER}/labels"), "labels"):
            name = str(document.get("name")).lower()  # names are unique without case
            self._labels[name] = client.text_of(document, "id")
        self._label_id = self._label(config.label_name)
        counts = api.get(f"{_USER}/labels/{quote(self._label_id, safe='')}")
        self._message_count = client.number_of(counts, "messagesTotal")
        self._unread_count = client.number_of(counts, "messagesUnread")

    @property
    def message_count(self) -> int | None:
        """The number of messages with the label."""
        return self._message_count

    @property
    def read_count(self) -> int | None:
        """The number of messages that ``messages`` leaves out because they are read."""
        total, unread = self._message_count, self._unread_count
        if total is None or unread is None or not self._config.skips_read:
            return None
        return max(0, total - unread)

    def messages(self) -> Iterator[WaitingMessage]:
        """Yield the messages, oldest first; raises MailboxError."""
        done_label_id = self._done_label(is_created=not self._is_readonly)
        for message_id in reversed(list(self._listed())):
            yield WaitingMessage(
                key=message_id,
                name=f"{self._config.label_name} {message_id}",
                size=partial(self._size, message_id),
                read=partial(self._read, message_id),
                acknowledge=partial(self._acknowledge, message_id, done_label_id),
            )

    def test(self) -> None:
        """Check the owner of the mailbox, and the label for stored messages.

        effects  creates the label if the mailbox is set up so
        raises   MailboxError
        """
        owner = client.text_of(self._api.get(f"{_USER}/profile"), "emailAddress")
        if owner.lower() != self._config.address.lower():
            raise MailboxError(f"the refresh token is for the mailbox of {owner[:320]}")
        self._done_label(is_created=True)

    def _label(self, name: str) -> str:
        label_id = self._labels.get(name.lower())
        if label_id is None:
            raise MailboxError(f"label {name} does not exist in the mailbox")
        return label_id

    def _done_label(self, *, is_created: bool) -> str | None:
        name = self._config.done_label
        if not name:
            return None
        is_created = is_created and self._config.missing_label == "create"
        if is_created and name.lower() not in self._labels:
            document = self._api.send("POST", f"{_USER}/labels", {"name": name})
            self._labels[name.lower()] = client.text_of(document, "id")
        return self._label(name)

    def _listed(self) -> Iterator[str]:
        """Yield the ids of messages, newest first; all of them before any is changed."""
        query = {"labelIds": self._label_id, "maxResults": str(PAGE_SIZE)}
        if self._config.skips_read:
            query["q"] = "is:unread"
        for _ in range(MAX_PAGES):
            page = self._api.get(f"{_USER}/messages?{urlencode(query)}")
            for document in client.objects_of(page, "messages"):
                yield client.text_of(document, "id")
            if "nextPageToken" not in page:
                return
            query["pageToken"] = client.text_of(page, "nextPageToken")

    def _size(self, message_id: str) -> int:
        with client.one_message():
            document = self._api.get(f"{self._path(message_id)}?format=minimal")
        size_bytes = client.number_of(document, "sizeEstimate")
        if size_bytes is None:
            raise MessageError("the service did not report the size of a message")
        return size_bytes

    def _read(self, message_id: str) -> bytes:
        most = LIMITS.message * 4 // 3 + _OVERHEAD
        with client.one_message():
            body = self._api.download(f"{self._path(message_id)}?format=raw&fields=raw", most)
        content = None if body is None else _decoded(client.text_of(client.parsed(body), "raw"))
        if content is None or len(content) > LIMITS.message:
            raise MessageError(f"larger than {LIMITS.message // 1024**2} MiB")
        return content

    def _acknowledge(self, message_id: str, done_label_id: str | None) -> None:
        change = {"removeLabelIds": [UNREAD]}
        if done_label_id is not None:
            change = {"addLabelIds": [done_label_id], "removeLabelIds": [self._label_id]}
        with client.one_message():
            self._api.send("POST", f"{self._path(message_id)}/modify", change)

    def _path(self, message_id: str) -> str:
        return f"{_USER}/messages/{quote(message_id, safe='')}"


def _decoded(raw: str) -> bytes:
    """Return the content of base64url, with or without padding; raises MessageError."""
    try:
        return base64.b64decode(raw + "=" * (-len(raw) % 4), altchars="-_", validate=True)
    except (ValueError, binascii.Error):
        raise MessageError("the service sent a malformed message") from None
