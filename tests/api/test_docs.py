"""The page of the API reference, and the files from which programs learn about the API."""

import ast
import json
import re
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from app.api.docs import openapi, reference, verification
from app.api.docs.reference import Call

SECRET = "whsec_" + "c2VjcmV0" * 4


@pytest.fixture
def calls(app: Flask) -> list[Call]:
    """All operations of the page."""
    document = openapi.document(app)
    groups = reference.groups(document, "https://watch.example")
    return [call for group in groups.values() for call in group]


def test_reference_lists_every_route_and_loads_nothing_from_other_sites(app: Flask) -> None:
    caller = app.test_client()
    page = caller.get("/docs")
    assert page.status_code == 200
    loaded = re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="([^"]+)"', page.text)
    assert len(loaded) == 3
    for address in loaded:
        assert address.startswith("/docs/static/"), address
        with caller.get(address) as response:
            assert response.status_code == 200, address
    for path, methods in openapi.document(app)["paths"].items():
        for method, operation in methods.items():
            assert f'id="{operation["operationId"]}"' in page.text, (method, path)
            assert f'href="#{operation["operationId"]}"' in page.text, (method, path)


def test_every_link_within_the_page_has_a_target(app: Flask) -> None:
    page = app.test_client().get("/docs").text
    targets = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= targets


def test_content_security_policy_allows_only_own_files(app: Flask) -> None:
    page = app.test_client().get("/docs")
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?! src=)|<style|\son\w+=|style=", page.text)


def test_every_operation_shows_access_errors_and_samples(calls: list[Call]) -> None:
    for call in calls:
        assert call.scopes or call.access, call.path
        assert set(call.samples) == {"curl", "Python", "JavaScript"}
        assert {"400", "500"} <= set(call.errors), call.path
        if call.path.startswith("/v1/domains") and call.method == "GET":
            assert call.response, call.path


def test_python_samples_are_correct_and_call_the_route(calls: list[Call]) -> None:
    for call in calls:
        text = call.samples["Python"]
        ast.parse(text)
        assert f"httpx.{call.method.lower()}(" in text
        if call.scopes:
            assert "os.environ['KEY']" in text


def test_javascript_samples_are_correct(calls: list[Call], tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    wrapped = []
    for call in calls:
        lines = call.samples["JavaScript"].splitlines()
        body = "\n".join(line for line in lines if not line.startswith("import "))
        wrapped.append(f"(async () => {{\n{body}\n}});")
    path = tmp_path / "samples.mjs"
    path.write_text("\n".join(wrapped))
    result = subprocess.run(["node", "--check", str(path)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def signed() -> tuple[str, dict[str, str]]:
    """The body and headers of a webhook."""
    body, now = json.dumps({"type": "test", "data": {"message": "Grüße"}}), datetime.now(UTC)
    return body, {
        "webhook-id": "evt_1",
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": Webhook(SECRET).sign("evt_1", now, body),
    }


def test_python_verification_accepts_only_signed_events() -> None:
    scope: dict[str, Any] = {}
    exec(verification.SAMPLES["Python"], scope)
    body, headers = signed()
    assert scope["event_of"](body.encode(), headers, SECRET)["type"] == "test"
    with pytest.raises(WebhookVerificationError):
        scope["event_of"](body.replace("test", "best").encode(), headers, SECRET)


def test_javascript_verification_accepts_only_signed_events(tmp_path: Path) -> None:
    if shutil.which("node") is None:
        pytest.skip("node is not installed")
    body, headers = signed()
    arguments = ", ".join(json.dumps(value) for value in (body, headers, SECRET))
    forged = ", ".join(json.dumps(value) for value in (body + " ", headers, SECRET))
    path = tmp_path / "verify.mjs"
    path.write_text(
        f"{verification.SAMPLES['JavaScript']}\nconsole.log(eventOf({arguments}).type);\n"
        f"try {{ eventOf({forged}); }} catch (error) {{ console.log(error.message); }}\n"
    )
    result = subprocess.run(["node", str(path)], capture_output=True, text=True)
    assert result.stdout.splitlines() == ["test", "wrong signature"], result.stderr


def test_llms_txt_lists_every_operation(app: Flask) -> None:
    response = app.test_client().get("/llms.txt")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    for path, methods in openapi.document(app)["paths"].items():
        for method in methods:
            assert f"[{method.upper()} {path}](" in response.text


def test_api_catalog_links_to_pages_that_exist(app: Flask) -> None:
    caller = app.test_client()
    response = caller.get("/.well-known/api-catalog")
    assert response.headers["Content-Type"].startswith("application/linkset+json; profile=")
    [links] = json.loads(response.data)["linkset"]
    base = links["anchor"].removesuffix("/v1")
    targets = [link for name in ("service-desc", "service-doc", "status") for link in links[name]]
    for link in targets:
        answer = caller.get(link["href"].removeprefix(base))
        assert answer.status_code == 200, link
        assert answer.mimetype == link["type"]
    assert caller.head("/.well-known/api-catalog").headers["Link"].endswith('rel="api-catalog"')
