"""The Gmail API and the token endpoint of Google on loopback, for one mailbox."""

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.web_api import Call, Reply, WebApi

CLIENT_ID = "1043-reports.apps.googleusercontent.com"
ADDRESS = "reports@acme.test"
SYSTEM_LABELS = ("INBOX", "SPAM", "TRASH", "UNREAD", "STARRED")
SCOPE = "https://www.googleapis.com/auth/gmail.modify"


@dataclass(slots=True)
class Message:
    """A message with its labels; ``size`` is the estimate of the server."""

    id: str
    content: bytes
    labels: set[str]
    size: int


@dataclass(slots=True)
class Grant:
    """What the person granted: the current refresh token, and the scope."""

    client_secret: str = "GOCSPX-client-secret"
    refresh_token: str = "1//refresh-token"
    scopes: set[str] = field(default_factory=lambda: {SCOPE})


class GmailServer(WebApi):
    """The API for one mailbox with the messages in its inbox, oldest first.

    page_size  the largest page of messages
    """

    token_host = "oauth2.googleapis.com"
    hosts = ("gmail.googleapis.com", "oauth2.googleapis.com")

    def __init__(self, contents: Sequence[bytes] = ()) -> None:
        super().__init__()
        self.grant = Grant()
        self.page_size = 500
        self.labels = {name: name for name in SYSTEM_LABELS}  # names by id
        self.messages: dict[str, Message] = {}
        for content in contents:
            self.deliver(content)

    def deliver(self, content: bytes) -> Message:
        """A new message in the inbox."""
        message = Message(
            id=f"{0x19AB3C0D10000000 + len(self.messages):x}",
            content=content,
            labels={"INBOX", "UNREAD"},
            size=len(content),
        )
        self.messages[message.id] = message
        return message

    def add_label(self, name: str) -> str:
        label_id = f"Label_{len(self.labels)}"
        self.labels[label_id] = name
        return label_id

    def unauthorized(self) -> Reply:
        return error(401, "Invalid Credentials", "authError", "UNAUTHENTICATED")

    def token(self, call: Call) -> Reply:
        form, grant = call.form, self.grant
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, grant.client_secret):
            return _token_error(401, "invalid_client", "The OAuth client was not found.")
        if form.get("refresh_token") != grant.refresh_token:
            return _token_error(400, "invalid_grant", "Token has been expired or revoked.")
        return Reply(200, {**self.issue(), "scope": " ".join(grant.scopes)})

    def route(self, call: Call) -> Reply:
        routes = r"/gmail/v1/users/([^/]+)/(messages|labels|profile)(?:/(.*))?"
        match = re.fullmatch(routes, call.path)
        if match is None or match[1] != "me":
            return error(404, "Requested entity was not found.", "notFound", "NOT_FOUND")
        if SCOPE not in self.grant.scopes:
            text = "Request had insufficient authentication scopes."
            return error(403, text, "insufficientPermissions", "PERMISSION_DENIED")
        if match[2] == "profile":
            return Reply(200, {"emailAddress": ADDRESS, "messagesTotal": len(self.messages)})
        parts = (match[3] or "").split("/") if match[3] else []
        if match[2] == "labels":
            return self._labels(call, parts)
        return self._one(call, parts) if parts else self._list(call)

    def _labels(self, call: Call, parts: Sequence[str]) -> Reply:
        if call.method == "POST":
            name = call.json["name"]
            if name.lower() in {label.lower() for label in self.labels.values()}:
                return error(409, "Label name exists or conflicts", "aborted", "ABORTED")
            label_id = self.add_label(name)
            return Reply(200, {"id": label_id, "name": name, "type": "user"})
        if not parts:
            return Reply(200, {"labels": [self._resource(label_id) for label_id in self.labels]})
        if parts[0] not in self.labels:
            return error(404, "Requested entity was not found.", "notFound", "NOT_FOUND")
        own = [item for item in self.messages.values() if parts[0] in item.labels]
        unread = sum("UNREAD" in item.labels for item in own)
        counts = {"messagesTotal": len(own), "messagesUnread": unread}
        return Reply(200, {**self._resource(parts[0]), **counts})

    def _resource(self, label_id: str) -> dict[str, Any]:
        kind = "system" if label_id in SYSTEM_LABELS else "user"
        return {"id": label_id, "name": self.labels[label_id], "type": kind}

    def _list(self, call: Call) -> Reply:
        labels = set(re.findall(r"labelIds=([^&]+)", call.url))
        excluded = {"SPAM", "TRASH"} - labels
        if call.query.get("q") == "is:unread":
            labels.add("UNREAD")
        ids = [
            item.id
            for item in reversed(self.messages.values())
            if labels <= item.labels and not item.labels & excluded
        ]
        size = min(int(call.query.get("maxResults", 100)), self.page_size)
        start = int(call.query.get("pageToken", 0))
        page: dict[str, Any] = {"resultSizeEstimate": len(ids)}
        if ids[start : start + size]:  # without messages, the field is missing
            page["messages"] = [
                {"id": item, "threadId": item} for item in ids[start : start + size]
            ]
        if len(ids) > start + size:
            page["nextPageToken"] = str(start + size)
        return Reply(200, page)

    def _one(self, call: Call, parts: Sequence[str]) -> Reply:
        message = self.messages.get(parts[0])
        if message is None:
            return error(404, "Requested entity was not found.", "notFound", "NOT_FOUND")
        resource = {
            "id": message.id,
            "threadId": message.id,
            "labelIds": sorted(message.labels),
            "sizeEstimate": message.size,
        }
        if call.method == "GET":
            if call.query["format"] == "raw":
                raw = base64.urlsafe_b64encode(message.content).decode()
                resource |= {"raw": raw}
            return Reply(200, resource)
        if parts[1:] != ["modify"]:
            return error(404, "Not Found", "notFound", "NOT_FOUND")
        added, removed = call.json.get("addLabelIds", []), call.json.get("removeLabelIds", [])
        if not {*added, *removed} <= self.labels.keys():
            return error(400, "Invalid label", "invalidArgument", "INVALID_ARGUMENT")
        message.labels = (message.labels | {*added}) - {*removed}
        return Reply(200, {**resource, "labelIds": sorted(message.labels)})


def error(status: int, text: str, reason: str, name: str, **headers: str) -> Reply:
    """An error of a Google API."""
    domain = "usageLimits" if "Exceeded" in reason else "global"
    item = {"message": text, "domain": domain, "reason": reason}
    body = {"error": {"code": status, "message": text, "errors": [item], "status": name}}
    return Reply(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def throttled(status: int = 429, **headers: str) -> Reply:
    """The response to a user with too many requests; with 403 or 429, mostly without a time."""
    reason = "rateLimitExceeded" if status == 429 else "userRateLimitExceeded"
    text = "Too many concurrent requests for user"
    return error(status, text, reason, "RESOURCE_EXHAUSTED", **headers)


def _token_error(status: int, code: str, text: str) -> Reply:
    return Reply(status, {"error": code, "error_description": text})
