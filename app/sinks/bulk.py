"""Documents for OpenSearch and Elasticsearch, with the Bulk API."""

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import orjson

from app.channels.webhook import WebhookUrl
from app.options import fields
from app.options.fields import OptionError
from app.ports.network import NetworkSession
from app.sinks import requests
from app.sinks.requests import HttpSinkConfig, Post
from app.sinks.types import Deployment, Outcome, Record

_PATH = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_BUSY = (429, 500, 502, 503, 504)  # statuses of items that are accepted later
_EXISTS = 409  # of an item with the operation create: it was accepted before


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkConfig(HttpSinkConfig):
    """Documents in an index or a data stream; the id of a record is that of its document."""

    type: ClassVar[str] = "bulk"
    label: ClassVar[str] = "OpenSearch or Elasticsearch"
    description: ClassVar[str] = "Index records with the Bulk API of OpenSearch or Elasticsearch."

    index: str = fields.text("Index or data stream", default="mailwatch")
    operation: str = fields.choice(
        "Operation",
        {"index": "Index (for an index)", "create": "Create (for a data stream)"},
        default="index",
    )
    authentication: str = fields.choice(
        "Authentication",
        {"basic": "User name and password", "api_key": "API key", "none": "None"},
        default="basic",
    )
    secret: str = fields.secret(
        "Password or API key",
        default="",
        most=1_000,
        hint="The user name and the password with a colon between, or the encoded API key.",
        needed_with={"authentication": ("basic", "api_key")},
    )

    @property
    def destination(self) -> str:
        return f"{self.parsed_url.host}, {self.index}"

    def problems(self) -> Iterator[OptionError]:
        """Yield what is wrong with the index and the password."""
        yield from super(BulkConfig, self).problems()
        if not _INDEX.fullmatch(self.index):
            message = "Enter lowercase letters, digits, dots, underscores and hyphens"
            yield OptionError("index", message)
        if self.authentication == "basic" and self.secret and ":" not in self.secret:
            message = "Enter the user name and the password with a colon between"
            yield OptionError("secret", message)

    def url_problem(self, url: WebhookUrl) -> str | None:
        return "Enter the URL without a query" if "?" in url.path else None

    async def send(
        self, records: Sequence[Record], network: NetworkSession, deployment: Deployment
    ) -> Outcome:
        headers = {"Content-Type": "application/x-ndjson", **self._authorization}
        body = b"".join(self._lines(record) for record in records)
        suffix = _PATH[1:] if self.parsed_url.path.endswith("/") else _PATH
        page, outcome = await self.post(Post(headers, body, suffix), network, deployment)
        if page is None or outcome.error is not None:
            return outcome
        return _by_item(requests.parse_json(page), len(records))

    @property
    def _authorization(self) -> Mapping[str, str]:
        if self.authentication == "basic":
            return {"Authorization": f"Basic {base64.b64encode(self.secret.encode()).decode()}"}
        is_key = self.authentication == "api_key"
        return {"Authorization": f"ApiKey {self.secret}"} if is_key else {}

    def _lines(self, record: Record) -> bytes:
        action = {self.operation: {"_index": self.index, "_id": record["mailwatchId"]}}
        document = {"@timestamp": record["at"], **record}
        return orjson.dumps(action) + b"\n" + orjson.dumps(document) + b"\n"


def _by_item(response: Mapping[str, object], count: int) -> Outcome:
    """Return the outcome by the items of a response."""
    if response.get("errors") is False:
        return Outcome()
    items = response.get("items")
    if not isinstance(items, list) or len(items) != count:
        return Outcome("the response is not that of the Bulk API")
    rejected: dict[int, str] = {}
    accepted = 0
    for index, item in enumerate(items):
        status, reason = _item(item)
        if status in _BUSY:
            error = f"record {index + 1} of {count} was not accepted: {reason}"
            return Outcome(error, accepted=index if accepted else 0, rejected=rejected)
        if 200 <= status < 300 or status == _EXISTS:
            accepted += 1
        else:
            rejected[index] = reason
    if not accepted:
        prefix = "every record was refused: " if count > 1 else ""
        return Outcome(f"{prefix}{rejected[0]}", is_refused=True)
    return Outcome(rejected=rejected)


def _item(item: object) -> tuple[int, str]:
    """Return the status and the reason of an item."""
    result = next(iter(item.values()), None) if isinstance(item, dict) else None
    if not isinstance(result, dict):
        return 500, "the item has no status"
    status, error = result.get("status"), result.get("error")
    reason = error.get("reason") or error.get("type") if isinstance(error, dict) else None
    is_number = isinstance(status, int)
    return (status if is_number else 500), f"{status} {reason or ''}".strip()[:200]  # type: ignore[return-value]
