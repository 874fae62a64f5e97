"""Events for the HTTP Event Collector (HEC) of Splunk."""

from collections.abc import Mapping, Sequence
from datetime import datetime

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

_PATH = "/services/collector/event"


class Splunk(SinkType):
    """Events of the source type ``mailwatch``."""

    name = "splunk"
    label = "Splunk"
    description = "Send records to the HTTP Event Collector (HEC) of Splunk."
    options = (
        Option("url", "URL", "https://…:8088"),
        Option("token", "HEC token", is_secret=True, max_length=100),
        Option("index", "Index", "the default of the token unless set", is_required=False),
        CA_CERTIFICATES,
    )

    def check(self, options: Mapping[str, str]) -> None:
        if requests.parse_url(options).path != "/":
            raise BadOption("url", "Enter the URL without a path")
        types.check_certificates(options)

    def destination(self, options: Mapping[str, str]) -> str:
        return requests.parse_url(options).host

    async def send(
        self,
        records: Sequence[Record],
        target: Target,
        network: NetworkSession,
        config: SinkConfig,
    ) -> Outcome:
        headers = {
            "Authorization": f"Splunk {target.secret}",
            "Content-Type": "application/json",
        }
        index = target.options["index"]
        body = b"\n".join(_event(record, index, config.host_name) for record in records)
        post = Post(headers, body, _PATH[1:])
        page, outcome = await requests.send(post, target, network, config)
        if page is None or outcome.error is not None:
            return outcome
        response = requests.parse_json(page)
        if response.get("code") != 0:
            return Outcome(f"HEC answered: {str(response.get('text'))[:200]}")
        return outcome


def _event(record: Record, index: str, host_name: str) -> bytes:
    at = datetime.fromisoformat(record["at"])
    return orjson.dumps(
        {
            "time": at.timestamp(),
            "host": host_name,
            "source": "mailwatch",
            "sourcetype": "mailwatch",
            **({"index": index} if index else {}),
            "event": record,
        }
    )
