"""Microsoft Graph and the token endpoint of Microsoft Entra on loopback, for one mailbox."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from tests.support.web_api import Call, Reply, WebApi

TENANT = "8c1f0e2a-6f1d-4c4b-9a53-6b1f3c0c7d11"
CLIENT_ID = "3f9a1c5e-0b7e-4a55-8f5d-2d1b7c6e9a40"
ADDRESS = "reports@acme.test"
WELL_KNOWN = ("inbox", "archive", "deleteditems", "junkemail")
START = datetime(2026, 11, 1, 8, tzinfo=UTC)
_FILTER = re.compile(r"receivedDateTime ge (\S+)(?: and isRead eq (true|false))?")
_NAME_FILTER = re.compile(r"displayName eq '((?:[^']|'')*)'")


@dataclass(slots=True)
class Message:
    """A message; ``size`` is the one that Exchange reports."""

    id: str
    content: bytes
    folder: str
    received: datetime
    is_read: bool = False
    size: int = 0


@dataclass(slots=True)
class Folder:
    """A folder below another one, or at the top."""

    id: str
    name: str
    parent: str | None = None


@dataclass(slots=True)
class Directory:
    """What administrators of the tenant control: the client secret and the permissions."""

    secret: str = "Qk8~client-secret"
    permissions: set[str] = field(default_factory=lambda: {"Mail.ReadWrite"})


class GraphServer(WebApi):
    """The API for one mailbox with the messages in its inbox, oldest first.

    page_size  the largest page of messages
    """

    token_host = "login.microsoftonline.com"
    hosts = ("graph.microsoft.com", "graph.microsoft.us", "login.microsoftonline.com")

    def __init__(self, contents: Sequence[bytes] = ()) -> None:
        super().__init__()
        self.directory = Directory()
        self.page_size = 1000
        self.folders = {name: Folder(name, name.title()) for name in WELL_KNOWN}
        self.folders["inbox"].name = "Posteingang"  # display names are localized
        self.messages: dict[str, Message] = {}
        for content in contents:
            self.deliver(content)

    def deliver(self, content: bytes, folder: str = "inbox") -> Message:
        """A new message, which is received a minute after the previous one."""
        number = len(self.messages) + 1
        message = Message(
            id=f"AAkALgAAAAAAHYQDEapmEc2byACqAC-EWg0A{number:04}AAA=",
            content=content,
            folder=folder,
            received=START + timedelta(minutes=number),
            size=len(content),
        )
        self.messages[message.id] = message
        return message

    def add_folder(self, name: str, parent: str | None = None) -> Folder:
        folder = Folder(f"AQMk-folder-{len(self.folders)}=", name, parent)
        self.folders[folder.id] = folder
        return folder

    def contents_of(self, folder: str) -> list[bytes]:
        return [item.content for item in self.messages.values() if item.folder == folder]

    def unauthorized(self) -> Reply:
        return error(401, "InvalidAuthenticationToken", "Lifetime validation failed, expired.")

    def token(self, call: Call) -> Reply:
        form = call.form
        if call.path != f"/{TENANT}/oauth2/v2.0/token":
            return _token_error(400, "invalid_request", 90002, "Tenant not found.")
        if form["client_id"] != CLIENT_ID:
            return _token_error(400, "unauthorized_client", 700016, "Application not found.")
        if form.get("client_secret") != self.directory.secret:
            return _token_error(401, "invalid_client", 7000215, "Invalid client secret provided.")
        if form["scope"] not in {f"https://{host}/.default" for host in self.hosts}:
            return _token_error(400, "invalid_scope", 70011, "The scope is not valid.")
        if form["grant_type"] != "client_credentials":
            return _token_error(400, "unsupported_grant_type", 70003, "Not supported.")
        return Reply(200, self.issue())

    def route(self, call: Call) -> Reply:
        match = re.fullmatch(r"/v1\.0/users/([^/]+)/(mailFolders|messages)(.*)", call.path)
        if match is None:
            return error(400, "BadRequest", "Resource not found for the segment.")
        if match[1] != ADDRESS:
            return error(404, "ErrorInvalidUser", f"The requested user '{match[1]}' is invalid.")
        needed = {"Mail.ReadWrite"} if call.method != "GET" else {"Mail.ReadWrite", "Mail.Read"}
        if not self.directory.permissions & needed:
            return error(403, "ErrorAccessDenied", "Access is denied. Check credentials.")
        parts = [part for part in match[3].split("/") if part]
        return self._folders(call, parts) if match[2] == "mailFolders" else self._one(call, parts)

    def _folders(self, call: Call, parts: Sequence[str]) -> Reply:
        folder = self._folder(parts[0]) if parts else None
        if parts and folder is None:
            return error(404, "ErrorItemNotFound", "The specified object was not found.")
        if parts[1:] == ["messages"]:
            return self._list(call, parts[0])
        if parts and parts[1:] != ["childFolders"]:
            return Reply(200, self._resource(self.folders[parts[0]]))
        children = [item for item in self.folders.values() if item.parent == (folder or None)]
        if call.method == "POST":
            name = call.json["displayName"]
            if any(item.name == name for item in children):
                return error(409, "ErrorFolderExists", "A folder with the name already exists.")
            return Reply(201, self._resource(self.add_folder(name, folder)))
        if (match := _NAME_FILTER.fullmatch(call.query.get("$filter", ""))) is not None:
            name = match[1].replace("''", "'").lower()
            children = [item for item in children if item.name.lower() == name]
        return Reply(200, {"value": [self._resource(item) for item in children[:10]]})

    def _folder(self, identifier: str) -> str | None:
        return identifier if identifier in self.folders else None

    def _resource(self, folder: Folder) -> dict[str, Any]:
        own = [item for item in self.messages.values() if item.folder == folder.id]
        return {
            "id": folder.id,
            "displayName": folder.name,
            "parentFolderId": folder.parent or "root",
            "childFolderCount": sum(item.parent == folder.id for item in self.folders.values()),
            "totalItemCount": len(own),
            "unreadItemCount": sum(not item.is_read for item in own),
        }

    def _list(self, call: Call, folder: str) -> Reply:
        query = call.query
        match = _FILTER.fullmatch(query.get("$filter", ""))
        if match is None or query.get("$orderby") != "receivedDateTime":
            return error(400, "InefficientFilter", "The sort order is too complex.")
        since, is_read = datetime.fromisoformat(match[1]), match[2]
        items = sorted(
            (
                item
                for item in self.messages.values()
                if item.folder == folder
                and item.received >= since
                and is_read in (None, str(item.is_read).lower())
            ),
            key=lambda item: item.received,
        )
        size, skip = min(int(query.get("$top", 10)), self.page_size), int(query.get("$skip", 0))
        document: dict[str, Any] = {"value": list(_listed(items[skip : skip + size], query))}
        if len(items) > skip + size:
            following = urlencode({**query, "$skip": str(skip + size)})
            path = call.url.partition("?")[0]
            document["@odata.nextLink"] = f"https://{call.headers['host']}{path}?{following}"
        return Reply(200, document)

    def _one(self, call: Call, parts: Sequence[str]) -> Reply:
        message = self.messages.get(parts[0])
        if message is None:
            return error(404, "ErrorItemNotFound", "The specified object was not found.")
        match call.method, parts[1:]:
            case "GET", ["$value"]:
                return Reply(200, message.content)
            case "PATCH", []:
                message.is_read = call.json["isRead"]
            case "POST", ["move"]:
                target = self._folder(call.json["destinationId"])
                if target is None:
                    return error(404, "ErrorItemNotFound", "The folder was not found.")
                message.folder = target
            case _:
                return error(405, "Request_BadRequest", "The method is not allowed.")
        status = 201 if call.method == "POST" else 200
        return Reply(status, {"id": message.id, "isRead": message.is_read})


def error(status: int, code: str, text: str, **headers: str) -> Reply:
    """An error of Microsoft Graph."""
    inner = {"date": "2026-11-30T12:00:00", "request-id": "0d6b1c3e-request"}
    body = {"error": {"code": code, "message": text, "innerError": inner}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def throttled(seconds: str | None = "120") -> Reply:
    """The response to an application that sends too many requests."""
    text = "Application is over its MailboxConcurrency limit."
    headers = {} if seconds is None else {"Retry_After": seconds}
    return error(429, "ApplicationThrottled", text, **headers)


def _listed(items: Sequence[Message], query: dict[str, str]) -> Iterator[dict[str, Any]]:
    for item in items:
        listed: dict[str, Any] = {"@odata.etag": f'W/"{item.id}"', "id": item.id}
        if "receivedDateTime" in query["$select"].split(","):
            listed["receivedDateTime"] = item.received.strftime("%Y-%m-%dT%H:%M:%SZ")
        if "'Integer 0x0E08'" in query.get("$expand", ""):
            # The id comes back in another spelling than the one in the request.
            listed["singleValueExtendedProperties"] = [
                {"id": "Integer 0xe08", "value": str(item.size)}
            ]
        yield listed


def _token_error(status: int, code: str, number: int, text: str) -> Reply:
    body = {
        "error": code,
        "error_description": f"AADSTS{number}: {text}\r\nTrace ID: 0b2\r\nTimestamp: 2026-11-30",
        "error_codes": [number],
        "timestamp": "2026-11-30 12:00:00Z",
        "error_uri": f"https://login.microsoftonline.com/error?code={number}",
    }
    return Reply(status, body)
