"""Receivers of records: servers that answer as OpenSearch and Splunk do."""

import base64
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import orjson

from tests.support.receivers import Answered, Received, Receiver

TOKEN = "11111111-2222-3333-4444-555555555555"
USER = "mailwatch:secret"


class SearchEngine:
    """The Bulk API: documents by index and id, with faults by document.

    fault  returns (status, type, reason) for a document that is not accepted
    """

    def __init__(self, receiver: Receiver) -> None:
        self.documents: dict[tuple[str, str], dict[str, Any]] = {}
        self.writes = 0
        self.fault: Callable[[dict[str, Any]], tuple[int, str, str] | None] = lambda _: None
        receiver.answer = self._answer

    def _answer(self, call: Received) -> Answered:
        url = urlsplit(call.path)
        authorization = f"Basic {base64.b64encode(USER.encode()).decode()}"
        if call.headers.get("authorization") != authorization:
            return 401, {}, b'{"error":{"type":"security_exception"},"status":401}'
        if url.path != "/_bulk" or call.headers["content-type"] != "application/x-ndjson":
            return 406, {}, b'{"error":"Content-Type header is not supported","status":406}'
        if not call.body.endswith(b"\n"):
            return (
                400,
                {},
                b'{"error":{"reason":"The bulk request must be terminated by a newline"}}',
            )
        lines = [orjson.loads(line) for line in call.body.splitlines()]
        items = [
            self._index(action, document)
            for action, document in zip(lines[::2], lines[1::2], strict=True)
        ]
        errors = any("error" in next(iter(item.values())) for item in items)
        body = {"took": 3, "errors": errors, "items": items}
        filters = parse_qs(url.query)["filter_path"][0].split(",")
        return 200, {"Content-Type": "application/json"}, orjson.dumps(_filtered(body, filters))

    def _index(self, action: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
        ((operation, target),) = action.items()
        key = (target["_index"], target["_id"])
        if fault := self.fault(document):
            status, type, reason = fault
            return {operation: {"status": status, "error": {"type": type, "reason": reason}}}
        if operation == "create" and key in self.documents:
            error = {"type": "version_conflict_engine_exception", "reason": "document exists"}
            return {operation: {"status": 409, "error": error}}
        is_new = key not in self.documents
        self.documents[key] = document
        self.writes += 1
        return {operation: {"_id": target["_id"], "status": 201 if is_new else 200}}


def _filtered(body: dict[str, Any], filters: list[str]) -> dict[str, Any]:
    """The body with the fields that ``filter_path`` selects; the server does the same."""
    assert filters[0] == "errors"
    items = [
        {
            operation: {
                name: {key: result[name][key] for key in ("type", "reason")}
                if name == "error"
                else result[name]
                for name in ("status", "error")
                if name in result
            }
            for operation, result in item.items()
        }
        for item in body["items"]
    ]
    return {"errors": body["errors"], "items": items}


class EventCollector:
    """The HTTP Event Collector: events, with a fault for a request.

    fault  returns (status, code, text) for a request that is not accepted, by its events
    """

    def __init__(self, receiver: Receiver) -> None:
        self.events: list[dict[str, Any]] = []
        self.fault: Callable[[list[dict[str, Any]]], tuple[int, int, str] | None] = lambda _: None
        receiver.answer = self._answer

    @property
    def ids(self) -> list[str]:
        return [event["event"]["mailwatchId"] for event in self.events]

    def _answer(self, call: Received) -> Answered:
        if call.path != "/services/collector/event":
            return 404, {}, b'{"text":"The requested URL was not found on this server.","code":404}'
        if call.headers.get("authorization") != f"Splunk {TOKEN}":
            return _reply(403, 4, "Invalid token")
        events = [orjson.loads(part) for part in re.split(rb"\n(?=\{)", call.body)]
        for event in events:
            if not isinstance(event.get("time"), float) or "event" not in event:
                return _reply(400, 6, "Invalid data format")
        if fault := self.fault(events):
            return _reply(*fault)
        self.events += events
        return _reply(200, 0, "Success")


def _reply(status: int, code: int, text: str) -> Answered:
    body = orjson.dumps({"text": text, "code": code})
    return status, {"Content-Type": "application/json"}, body
