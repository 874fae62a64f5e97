"""Batches of records in signed POST requests (Standard Webhooks)."""

import hashlib
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import orjson

from app.channels import webhook
from app.ports.network import NetworkSession
from app.protocols import timestamps
from app.sinks import requests, types
from app.sinks.requests import Post
from app.sinks.types import CA_CERTIFICATES, Option, Outcome, Record, SinkConfig, SinkType, Target


class Webhook(SinkType):
    """Signed POST requests to an HTTPS URL."""

    name = "webhook"
    label = "Webhook"
    description = "Send batches of records to an HTTPS URL, signed as by Standard Webhooks."
    options = (
        Option("url", "URL", "https://…"),
        CA_CERTIFICATES,
    )
    batch_size = 100

    def check(self, options: Mapping[str, str]) -> None:
        requests.parse_url(options)
        types.check_certificates(options)

    def destination(self, options: Mapping[str, str]) -> str:
        return requests.parse_url(options).host

    def new_secret(self) -> str | None:
        return webhook.new_secret()

    async def send(
        self,
        records: Sequence[Record],
        target: Target,
        network: NetworkSession,
        config: SinkConfig,
    ) -> Outcome:
        now = int(time.time())
        stamp = timestamps.text(datetime.fromtimestamp(now, UTC))
        body = orjson.dumps(
            {"type": "records.stored", "timestamp": stamp, "data": {"records": records}}
        )
        id = _batch_id(records)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(now),
            "webhook-signature": webhook.sign([target.secret], id, now, body),
        }
        _, outcome = await requests.send(Post(headers, body), target, network, config)
        return outcome


def _batch_id(records: Sequence[Record]) -> str:
    """Return the id of the batch, which is the same if these records are sent again."""
    ids = "\n".join(record["mailwatchId"] for record in records)
    return f"batch_{hashlib.sha256(ids.encode()).hexdigest()[:32]}"
