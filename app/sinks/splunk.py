"""Events for the HTTP Event Collector (HEC) of Splunk."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import orjson

from app.channels.webhook import WebhookUrl
from app.options import fields
from app.ports.network import NetworkSession
from app.sinks import requests
from app.sinks.requests import HttpSinkConfig, Post
from app.sinks.types import Deployment, Outcome, Record

_PATH = "/services/collector/event"


@dataclass(frozen=True, slots=True, kw_only=True)
class SplunkConfig(HttpSinkConfig):
    """Events of the source type ``mailwatch``."""

    type: ClassVar[str] = "splunk"
    label: ClassVar[str] = "Splunk"
    description: ClassVar[str] = "Send records to the HTTP Event Collector (HEC) of Splunk."

    token: str = fields.secret("HEC token", most=100)
    index: str = fields.text("Index", default="", hint="The default of the token unless set.")

    def url_problem(self, url: WebhookUrl) -> str | None:
        return None if url.path == "/" else "Enter the URL without a path"

    async def send(
        self, records: Sequence[Record], network: NetworkSession, deployment: Deployment
    ) -> Outcome:
        headers = {
            "Authorization": f"Splunk {self.token}",
            "Content-Type": "application/json",
        }
        events = (_event(record, self.index, deployment.host_name) for record in records)
        post = Post(headers, b"\n".join(events), _PATH[1:])
        page, outcome = await self.post(post, network, deployment)
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
