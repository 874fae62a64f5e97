"""Documents for OpenSearch and Elasticsearch, with the Bulk API."""

import base64
import re
from collections.abc import Mapping, Sequence

import orjson

from app.ports.network import NetworkSession
from app.sinks import requests, types
from app.sinks.requests import Post
from app.sinks.types import (
    CA_CERTIFICATES,
    BadOption,
    Option,
    Outcome,
    Record,
    SinkConfig,
    SinkType,
    Target,
)

_PATH = "/_bulk?filter_path=errors,items.*.status,items.*.error.type,items.*.error.reason"
_INDEX = re.compile(r"[a-z0-9][a-z0-9._-]{0,199}")
_BUSY = (429, 500, 502, 503, 504)  # statuses of items that are accepted later
_EXISTS = 409  # of an item with the operation create: it was accepted before


class Bulk(SinkType):
    """Documents in an index or a data stream; the id of a record is that of its document."""

    name = "bulk"
    label = "OpenSearch or Elasticsearch"
    description = "Index records with the Bulk API of OpenSearch or Elasticsearch."
    options = (
        Option("url", "URL", "https://…:9200, without /_bulk"),
        Option("index", "Index or data stream", default="mailwatch", max_length=200),
        Option(
            "operation",
            "Operation",
            default="index",
            choices={"index": "Index (for an index)", "create": "Create (for a data stream)"},
        ),
        Option(
            "authentication",
            "Authentication",
            default="basic",
            choices={"basic": "User name and password", "api_key": "API key", "none": "None"},
        ),
        Option(
            "secret",
            "Password or API key",
            "user:password, or the encoded API key",
            is_required=False,
            is_secret=True,
        ),
        CA_CERTIFICATES,
    )

    def check(self, options: Mapping[str, str]) -> None:
        url = requests.parse_url(options)
        if "?" in url.path:
            raise BadOption("url", "Enter the URL without a query")
        if not _INDEX.fullmatch(options["index"]):
            message = "Enter lowercase letters, digits, dots, underscores and hyphens"
            raise BadOption("index", message)
        secret, kind = options["secret"], options["authentication"]
        if kind != "none" and not secret:
            raise BadOption("secret", "Enter a password or API key, or choose no authentication")
        if kind == "basic" and ":" not in secret:
            raise BadOption("secret", "Enter the user name and the password with a colon between")
        types.check_certificates(options)

    def destination(self, options: Mapping[str, str]) -> str:
        return f"{requests.parse_url(options).host}, {options['index']}"

    async def send(
        self,
        records: Sequence[Record],
        target: Target,
        network: NetworkSession,
        config: SinkConfig,
    ) -> Outcome:
        headers = {"Content-Type": "application/x-ndjson", **_authorization(target)}
        body = b"".join(_lines(record, target.options) for record in records)
        post = Post(headers, body, _suffix(target.options))
        page, outcome = await requests.send(post, target, network, config)
        if page is None or outcome.error is not None:
            return outcome
        return _by_item(requests.parse_json(page), len(records))


def _suffix(options: Mapping[str, str]) -> str:
    return _PATH[1:] if requests.parse_url(options).path.endswith("/") else _PATH


def _authorization(target: Target) -> Mapping[str, str]:
    kind = target.options["authentication"]
    if kind == "basic":
        return {"Authorization": f"Basic {base64.b64encode(target.secret.encode()).decode()}"}
    return {"Authorization": f"ApiKey {target.secret}"} if kind == "api_key" else {}


def _lines(record: Record, options: Mapping[str, str]) -> bytes:
    action = {options["operation"]: {"_index": options["index"], "_id": record["mailwatchId"]}}
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
        return Outcome(f"every record was refused: {rejected[0]}", is_refused=True)
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
