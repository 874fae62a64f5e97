"""Batches of records in signed POST requests (Standard Webhooks)."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import orjson

from app import wall_clock
from app.channels import webhook
from app.options import fields
from app.ports.network import NetworkSession
from app.protocols import timestamps
from app.sinks.requests import HttpSinkConfig, Post
from app.sinks.types import Deployment, Outcome, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookConfig(HttpSinkConfig):
    """Signed POST requests to an HTTPS URL."""

    type: ClassVar[str] = "webhook"
    label: ClassVar[str] = "Webhook"
    description: ClassVar[str] = (
        "Send batches of records to an HTTPS URL, signed as by Standard Webhooks."
    )
    batch_size: ClassVar[int] = 100

    signing_secret: str = fields.secret("Signing secret", default="", generate=webhook.new_secret)

    async def send(
        self, records: Sequence[Record], network: NetworkSession, deployment: Deployment
    ) -> Outcome:
        now = int(wall_clock.seconds())
        stamp = timestamps.text(datetime.fromtimestamp(now, UTC))
        body = orjson.dumps(
            {"type": "records.stored", "timestamp": stamp, "data": {"records": records}}
        )
        id = _batch_id(records)
        headers = {
            "Content-Type": "application/json",
            "webhook-id": id,
            "webhook-timestamp": str(now),
            "webhook-signature": webhook.sign([self.signing_secret], id, now, body),
        }
        _, outcome = await self.post(Post(headers, body), network, deployment)
        return outcome


def _batch_id(records: Sequence[Record]) -> str:
    """Return the id of the batch, which is the same if these records are sent again."""
    ids = "\n".join(record["mailwatchId"] for record in records)
    return f"batch_{hashlib.sha256(ids.encode()).hexdigest()[:32]}"
