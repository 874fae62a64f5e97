"""Reports of leaked API keys, by a secret scanning service and by people."""

import hashlib
from typing import Any, Literal

import orjson
from flask import Blueprint, Flask, Response, current_app, request
from pydantic import ConfigDict, Field

from app.api.http import responses
from app.api.http.endpoint import Body, Schema, endpoint, read_array
from app.errors import NotFound, QuotaExceeded
from app.limits import rate_limiter
from app.limits.rate_limiter import RateLimitExceeded
from app.protocols.client_networks import client_network
from app.services.monitoring import token_leaks
from app.services.monitoring.secret_scanning import PublicKeys
from app.services.monitoring.token_leaks import PERSON, SECRET_SCANNING, Reported
from app.settings import Settings

bp = Blueprint("token_leaks", __name__)

MAX_ALERTS = 5000
MAX_REPORTS = 10  # per network and hour
RECEIVED = (
    "Thank you. If this is a key of this service, it was revoked and its owners were notified."
)


class LeakAlert(Body):
    """One match of the secret scanning service; further fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    token: str = Field(max_length=10_000)
    type: str = Field(max_length=200)
    url: str | None = Field(None, max_length=10_000)
    source: str | None = Field(None, max_length=200)


class LeakVerdict(Schema):
    """The verdict on one match. The names are those of the service that reads them."""

    model_config = ConfigDict(alias_generator=None)

    token_hash: str = Field(description="The SHA-256 of the token in hexadecimal.")
    token_type: str = Field(description="The type from the request.")
    label: Literal["true_positive", "false_positive"] = Field(
        description="Whether the token is a key of this service."
    )


class KeyReport(Body):
    """A leaked key."""

    token: str = Field(max_length=200)
    url: str | None = Field(None, max_length=1000)


class ReportReceived(Schema):
    """The confirmation, which is the same for every report."""

    message: str = Field(description="The confirmation.")


def init_app(app: Flask, settings: Settings) -> None:
    """Set up the public keys of the secret scanning service, if it is configured."""
    if url := settings.secret_scanning_keys_url:
        app.extensions["secret_scanning_keys"] = PublicKeys(url)


@bp.post("/secret-scanning/alerts")
@endpoint(is_public=True, array=LeakAlert, returns=LeakVerdict, is_bare=True, errors=(404,))
def receive_alerts() -> Response:
    """Revoke keys that a secret scanning service found; its signature is required."""
    public_keys: PublicKeys | None = current_app.extensions.get("secret_scanning_keys")
    if public_keys is None:
        raise NotFound
    raw = request.get_data()
    public_keys.verify(
        raw,
        request.headers.get("Github-Public-Key-Identifier", ""),
        request.headers.get("Github-Public-Key-Signature", ""),
        current_app.extensions["network"],
    )
    alerts = read_array(LeakAlert, raw, MAX_ALERTS)
    reported = [Reported(alert.token, alert.url) for alert in alerts]
    matches = token_leaks.revoke(reported, SECRET_SCANNING)
    verdicts = [_verdict(alert, is_key) for alert, is_key in zip(alerts, matches, strict=True)]
    return Response(orjson.dumps(verdicts), content_type="application/json")


@bp.post("/keys/report")
@endpoint(is_public=True, body=KeyReport, returns=ReportReceived, status=202)
def report(body: KeyReport) -> Response:
    """Report a leaked API key, which revokes it."""
    _count_report(client_network(request.remote_addr or "unknown"))
    token_leaks.revoke([Reported(body.token.strip(), body.url)], PERSON)
    return responses.item({"message": RECEIVED}, 202)


def _count_report(network: str) -> None:
    try:
        rate_limiter.count(f"key-report:{network}", f"{MAX_REPORTS} per hour")
    except RateLimitExceeded as error:
        message = f"A network may report {MAX_REPORTS} keys an hour."
        raise QuotaExceeded(message, error.retry_after) from None


def _verdict(alert: LeakAlert, is_key: bool) -> dict[str, Any]:
    return {
        "token_hash": hashlib.sha256(alert.token.encode("utf-8", "replace")).hexdigest(),
        "token_type": alert.type,
        "label": "true_positive" if is_key else "false_positive",
    }
