"""The whole leaked key revokes it; a part of the key does not."""

import base64
import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import ids
from app.api.v1.token_leaks.views import MAX_ALERTS
from app.db.transactions import transaction
from app.errors import ServiceUnavailable
from app.models import Alert, AuditEvent, Email, TokenLeak
from app.services.accounts import accounts
from app.services.api_keys import callers, key_tokens, upload_tokens
from app.services.monitoring import secret_scanning
from app.settings import Settings
from tests.support.api_client import Client
from tests.support.factories import ACTOR, make_key
from tests.support.receivers import HOST, LoopbackNetwork, Receiver, receiving

ALERTS, REPORT = "/v1/secret-scanning/alerts", "/v1/keys/report"
PAGE = "https://code.example.com/config.py"
SIGNING_KEY = ec.generate_private_key(ec.SECP256R1())

Send = Callable[..., TestResponse]


def published(**keys_by_id: ec.EllipticCurvePrivateKey) -> bytes:
    entries = [
        {
            "key_identifier": name,
            "key": key.public_key()
            .public_bytes(
                serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
            )
            .decode(),
            "is_current": True,
        }
        for name, key in keys_by_id.items()
    ]
    return orjson.dumps({"public_keys": entries})


@pytest.fixture
def key_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Receiver]:
    with receiving(tmp_path) as server:
        monkeypatch.setenv("SSL_CERT_FILE", str(server.ca_file))
        server.pages["/keys"] = published(current=SIGNING_KEY)
        yield server


@pytest.fixture
def settings(settings: Settings, key_server: Receiver) -> Settings:
    url = f"https://{HOST}:{key_server.port}/keys"
    return settings.replace(secret_scanning_keys_url=url)


@pytest.fixture
def send(app: Flask) -> Send:
    """Sends alerts as the secret scanning service does."""
    app.extensions["network"] = LoopbackNetwork()

    def post(
        alerts: Any,
        key_id: str = "current",
        signer: ec.EllipticCurvePrivateKey = SIGNING_KEY,
        signed: bytes | None = None,
    ) -> TestResponse:
        raw = alerts if isinstance(alerts, bytes) else orjson.dumps(alerts)
        signature = signer.sign(raw if signed is None else signed, ec.ECDSA(hashes.SHA256()))
        headers = {
            "Github-Public-Key-Identifier": key_id,
            "Github-Public-Key-Signature": base64.b64encode(signature).decode(),
        }
        return app.test_client().post(
            ALERTS, data=raw, headers=headers, content_type="application/json"
        )

    return post


def alert(token: str) -> dict[str, str]:
    return {"token": token, "type": "mailwatch_api_key", "url": PAGE, "source": "content"}


def verdicts(response: TestResponse) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    body: list[dict[str, str]] = orjson.loads(response.data)
    return body


def rows(model: Any, *where: Any) -> list[Any]:
    with transaction(readonly=True) as session:
        return list(session.scalars(select(model).where(*where)))


def test_leaked_key_is_revoked_with_alert_email_and_audit_event(send: Send, client: Client) -> None:
    accounts.add_user(ids.public("acc", client.account_id), "owner@acme.test", role="owner")
    accounts.add_user(ids.public("acc", client.account_id), "viewer@acme.test", role="viewer")
    key, token = make_key(client.account_id)
    assert callers.resolve(token, "192.0.2.1") is not None
    leaked, other = verdicts(send([alert(token), alert("mp_" + "a" * 50)]))
    digest = hashlib.sha256(token.encode()).hexdigest()
    assert leaked == {
        "token_hash": digest,
        "token_type": "mailwatch_api_key",
        "label": "true_positive",
    }
    assert other["label"] == "false_positive"
    assert callers.resolve(token, "192.0.2.1") is None
    (opened,) = rows(Alert, Alert.type == "key.leaked")
    assert (opened.subject, opened.severity) == (f"mp_{key.key_id}", "high")
    assert opened.evidence["url"] == PAGE
    (email,) = rows(Email, Email.kind == "key_leaked")
    assert (email.recipient, email.account_id) == ("owner@acme.test", client.account_id)
    (event,) = rows(AuditEvent, AuditEvent.action == "key.revoked")
    assert (event.target, event.details["url"]) == (key.key_id, PAGE)
    assert event.details["reported_by"] == "secret_scanning"
    assert token not in str([opened.evidence, event.details, email.subject])


def test_leaked_upload_token_is_revoked(send: Send, client: Client) -> None:
    accounts.add_user(ids.public("acc", client.account_id), "owner@acme.test", role="owner")
    row, token = upload_tokens.issue(client.account_id, "gateway", actor=ACTOR)
    forged = f"mu_{row.token_id}" + "x" * 32
    forged += key_tokens.checksum(forged)
    assert [v["label"] for v in verdicts(send([alert(forged)]))] == ["false_positive"]
    assert upload_tokens.authenticate(token) is not None
    assert [v["label"] for v in verdicts(send([alert(token)]))] == ["true_positive"]
    assert upload_tokens.authenticate(token) is None
    (opened,) = rows(Alert, Alert.type == "key.leaked")
    assert (opened.subject, opened.title) == (
        f"mu_{row.token_id}",
        "Upload token found in public",
    )
    (email,) = rows(Email, Email.kind == "key_leaked")
    assert email.subject == "Upload token gateway was found in public and revoked"
    (event,) = rows(AuditEvent, AuditEvent.action == "upload_token.revoked")
    assert event.target == row.token_id


def test_second_report_of_a_key_changes_nothing(send: Send, client: Client) -> None:
    accounts.add_user(ids.public("acc", client.account_id), "owner@acme.test", role="owner")
    _, token = make_key(client.account_id)
    for _ in range(2):
        labels = [item["label"] for item in verdicts(send([alert(token), alert(token)]))]
        assert labels == ["true_positive"] * 2
    assert len(rows(TokenLeak)) == 1
    assert len(rows(Email, Email.kind == "key_leaked")) == 1
    assert len(rows(AuditEvent, AuditEvent.action == "key.revoked")) == 1


def test_public_part_of_a_key_does_not_revoke_it(send: Send, client: Client) -> None:
    key, token = make_key(client.account_id)
    forged = "mp_" + key.key_id + "x" * 32
    forged += key_tokens.checksum(forged)
    (verdict,) = verdicts(send([alert(forged)]))
    assert verdict["label"] == "false_positive"
    assert callers.resolve(token, "192.0.2.1") is not None


@pytest.mark.parametrize("fault", ["key_id", "signer", "body", "no headers", "garbage"])
def test_message_without_valid_signature_is_refused(
    app: Flask, send: Send, client: Client, fault: str
) -> None:
    _, token = make_key(client.account_id)
    alerts = [alert(token)]
    if fault == "key_id":
        response = send(alerts, key_id="unknown")
    elif fault == "signer":
        response = send(alerts, signer=ec.generate_private_key(ec.SECP256R1()))
    elif fault == "body":
        response = send(alerts, signed=b"[]")
    else:
        bad = {"Github-Public-Key-Identifier": "current", "Github-Public-Key-Signature": "ä=="}
        headers = bad if fault == "garbage" else {}
        response = app.test_client().post(ALERTS, json=alerts, headers=headers)
    assert response.status_code == 400
    assert callers.resolve(token, "192.0.2.1") is not None


def test_published_keys_are_cached_for_unknown_ids_too(send: Send, key_server: Receiver) -> None:
    for key_id in ("current", "current", "unknown", "unknown"):
        send([], key_id=key_id)
    assert [call.path for call in key_server.calls] == ["/keys"]


def test_rotated_signing_key_is_fetched(
    send: Send, key_server: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert send([]).status_code == 200
    newer = ec.generate_private_key(ec.SECP256R1())
    key_server.pages["/keys"] = published(newer=newer)
    assert send([], key_id="newer", signer=newer).status_code == 400
    monkeypatch.setattr(secret_scanning, "RETRY_SECONDS", 0.0)
    assert send([], key_id="newer", signer=newer).status_code == 200
    assert send([]).status_code == 400


@pytest.mark.parametrize("page", [None, b"not JSON", b"{}", b'{"public_keys": [{}]}'])
def test_unavailable_signing_keys_are_503(
    send: Send, key_server: Receiver, page: bytes | None
) -> None:
    key_server.pages = {} if page is None else {"/keys": page}
    for _ in range(2):
        response = send([])
        assert response.status_code == 503
        assert response.headers["Retry-After"]
    assert len(key_server.calls) == 1


def test_key_on_another_curve_is_ignored() -> None:
    assert (
        secret_scanning.parse_keys(published(other=ec.generate_private_key(ec.SECP384R1()))) == {}
    )
    with pytest.raises(ServiceUnavailable):
        secret_scanning.parse_keys(b"\xff")


def test_number_of_alerts_is_limited(send: Send, client: Client) -> None:
    _, token = make_key(client.account_id)
    unknown_tokens = [{"token": f"mp_{i}", "type": "t"} for i in range(MAX_ALERTS - 1)]
    labels = [item["label"] for item in verdicts(send([*unknown_tokens, alert(token)]))]
    assert labels == ["false_positive"] * (MAX_ALERTS - 1) + ["true_positive"]
    assert send([*unknown_tokens, alert(token), alert(token)]).status_code == 400
    assert send(b'{"token": "t"}').status_code == 400
    assert send(b"[1]").status_code == 400


def test_reporting_a_key_reveals_nothing_about_it(app: Flask, client: Client) -> None:
    _, token = make_key(client.account_id)
    caller = app.test_client()
    responses = [
        caller.post(REPORT, json={"token": text, "url": PAGE}, headers={"X-Request-Id": "same"})
        for text in (token, token, "mp_" + "b" * 50, "hello")
    ]
    assert {(response.status_code, response.data) for response in responses} == {
        (202, responses[0].data)
    }
    assert callers.resolve(token, "192.0.2.1") is None
    (leak,) = rows(TokenLeak)
    assert (leak.reported_by, leak.url) == ("person", PAGE)


def test_network_can_report_ten_keys_an_hour(app: Flask) -> None:
    def report(address: str) -> TestResponse:
        environ = {"REMOTE_ADDR": address}
        return app.test_client().post(REPORT, json={"token": "x"}, environ_base=environ)

    statuses = [report(f"2001:db8::{i}").status_code for i in range(11)]
    assert statuses == [202] * 10 + [429]
    refused = report("2001:db8::99")
    assert 60 < int(refused.headers["Retry-After"]) <= 3600
    assert report("2001:db8:0:1::1").status_code == 202


def test_alerts_are_not_received_unless_a_service_is_configured(app: Flask) -> None:
    app.extensions.pop("secret_scanning_keys")
    assert app.test_client().post(ALERTS, json=[]).status_code == 404
