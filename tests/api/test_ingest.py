"""Reports posted to the address of an account are stored before the response."""

import gzip
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from app import settings as app_settings
from app.services.accounts import accounts
from app.services.filing import processor
from app.services.ingest import files, tokens
from app.services.ingest.files import ReportFileFilter
from app.settings import Settings
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml, mailed, tls_json, wrappings

Post = Callable[..., TestResponse]


@pytest.fixture
def account_id(app: Flask) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


@pytest.fixture
def token(account_id: UUID) -> str:
    return tokens.create(account_id, actor=ACTOR).token


@pytest.fixture
def post(app: Flask, token: str) -> Post:
    """Post to the account's address, or with ``to`` to another."""

    def send(data: Any = None, to: str = f"/ingest/{token}", **options: Any) -> TestResponse:
        response = app.test_client().post(to, data=data, **options)
        for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            assert response.headers[name].isdigit()
        return response

    return send


def ends(account_id: UUID) -> list[tuple[str, str | None]]:
    """(status, file name) of every file, oldest first, after processing."""
    processor.run([])
    rows, _ = files.search(account_id, ReportFileFilter()).page(None, 100)
    return [(row.status, row.file_name) for row in reversed(rows)]


@pytest.mark.parametrize("raw", [*wrappings(dmarc_xml()), tls_json(), gzip.compress(tls_json())])
@pytest.mark.parametrize("kind", ["application/octet-stream", "text/xml", None])
def test_report_is_accepted_with_any_content_type(
    post: Post, account_id: UUID, raw: bytes, kind: str | None
) -> None:
    response = post(raw, content_type=kind)
    assert response.status_code == 202
    (taken,) = response.json["data"]["files"]  # type: ignore[index]
    assert taken["id"].startswith("file_")
    assert taken["status"] == "received"
    assert ends(account_id) == [("parsed", None)]


def test_repeated_upload_returns_the_first_file(post: Post, account_id: UUID) -> None:
    first, second = post(dmarc_xml()), post(dmarc_xml())
    assert (first.status_code, second.status_code) == (202, 200)
    assert first.json == second.json
    processor.run([])
    assert post(dmarc_xml()).json["data"]["files"][0]["status"] == "parsed"  # type: ignore[index]


def test_tls_report_gets_201(post: Post, token: str, account_id: UUID) -> None:
    raw, kind = gzip.compress(tls_json()), "application/tlsrpt+gzip"
    to = f"/ingest/{token}/tls-rpt"
    assert post(raw, to=to, content_type=kind).status_code == 201
    assert post(raw, to=to, content_type=kind).status_code == 200
    assert ends(account_id) == [("parsed", None)]


def test_every_report_in_a_form_is_stored(post: Post, account_id: UUID) -> None:
    form = {
        "from": "noreply@receiver.test",
        "subject": "Report domain: acme.test",
        "headers": "Received: by mx\nMIME-Version: 1.0\nFrom: a@receiver.test\n",
        "envelope": '{"to": ["r@acme.test"], "from": "noreply@receiver.test"}',
        "html": "<html><body>A report is attached</body></html>",
        "attachment1": (io.BytesIO(gzip.compress(dmarc_xml())), "a!b.xml.gz"),
        "attachment2": (io.BytesIO(dmarc_xml(report_id="r2")), "second.xml"),
    }
    response = post(form, content_type="multipart/form-data")
    assert response.status_code == 202
    assert sorted(ends(account_id)) == [("parsed", "a!b.xml.gz"), ("parsed", "second.xml")]


def test_mail_in_a_form_field_is_stored(post: Post, account_id: UUID) -> None:
    raw = mailed(gzip.compress(dmarc_xml())).decode()
    response = post(
        {"email": raw, "charsets": '{"to": "UTF-8"}'}, content_type="multipart/form-data"
    )
    assert response.status_code == 202
    assert ends(account_id) == [("parsed", None)]


def test_form_without_reports_is_rejected(post: Post, account_id: UUID) -> None:
    response = post({"subject": "Hello"}, content_type="multipart/form-data")
    assert response.status_code == 202
    assert ends(account_id) == [("rejected", None)]


@pytest.mark.parametrize("raw", [b"", b" \r\n"])
def test_empty_upload_is_400(post: Post, raw: bytes) -> None:
    response = post(raw)
    assert response.status_code == 400
    assert response.json["error"]["code"] == "invalid_request"  # type: ignore[index]


def test_too_large_upload_is_413_with_the_limit(
    post: Post, settings: Settings, account_id: UUID
) -> None:
    app_settings.use(settings.replace(ingest_max_bytes=5000))
    assert post(b"x" * 5000).status_code == 202
    response = post(b"x" * 5001)
    assert response.status_code == 413
    error = response.json["error"]  # type: ignore[index]
    assert (error["code"], "5000" in error["message"]) == ("payload_too_large", True)
    assert len(ends(account_id)) == 1


def test_body_without_length_is_not_read_beyond_the_limit(
    post: Post, settings: Settings, account_id: UUID
) -> None:
    app_settings.use(settings.replace(ingest_max_bytes=5000))
    for size, status in ((5000, 202), (5001, 413), (500_000, 413)):
        stream = io.BytesIO(b"x" * size)
        response = post(
            input_stream=stream,
            headers={"Transfer-Encoding": "chunked"},
            environ_base={"wsgi.input_terminated": True},
        )
        assert response.status_code == status
        assert stream.tell() <= 5001
    assert len(ends(account_id)) == 1


@pytest.mark.parametrize("encoding", ["gzip", "X-GZIP", "identity"])
@pytest.mark.parametrize("raw", [tls_json(), gzip.compress(tls_json())])
def test_body_may_be_compressed_with_gzip(
    post: Post, token: str, account_id: UUID, encoding: str, raw: bytes
) -> None:
    response = post(raw, f"/ingest/{token}/tls-rpt", headers={"Content-Encoding": encoding})
    assert response.status_code == 201
    assert ends(account_id) == [("parsed", None)]


def test_compressed_body_is_inflated_within_the_limits(post: Post, account_id: UUID) -> None:
    bomb = gzip.compress(tls_json() + b" " * 40 * 1024 * 1024, mtime=0)
    assert post(bomb, headers={"Content-Encoding": "gzip"}).status_code == 202
    assert [status for status, _ in ends(account_id)] != ["parsed"]


def test_compressed_form_is_415(post: Post) -> None:
    headers = {"Content-Encoding": "gzip", "Content-Type": "multipart/form-data; boundary=b"}
    assert post(gzip.compress(b"--b--"), headers=headers).status_code == 415


@pytest.mark.parametrize("encoding", ["br", "deflate", "gzip, identity"])
def test_other_content_encoding_is_415(post: Post, encoding: str) -> None:
    response = post(dmarc_xml(), headers={"Content-Encoding": encoding})
    assert response.status_code == 415
    assert response.json["error"]["code"] == "unsupported_media_type"  # type: ignore[index]


def test_every_invalid_token_gets_the_same_404(post: Post, token: str, account_id: UUID) -> None:
    revoked = tokens.create(account_id, actor=ACTOR)
    tokens.revoke(account_id, revoked.token, actor=ACTOR)
    expired = tokens.create(account_id, actor=ACTOR)
    tokens.rotate(account_id, expired.token, timedelta(0), actor=ACTOR)
    other = make_account("Suspended")
    suspended = tokens.create(other.id, actor=ACTOR)
    accounts.suspend("Suspended")
    words = [
        revoked.token,
        expired.token,
        suspended.token,
        "x" * 22,
        "short",
        "x" * 5000,
        token[:-1],
    ]
    bodies = set()
    for word in words:
        for path in (f"/ingest/{word}", f"/ingest/{word}/tls-rpt"):
            response = post(dmarc_xml(), to=path, headers={"X-Request-Id": "same"})
            assert response.status_code == 404
            bodies.add(response.data)
    assert len(bodies) == 1
    assert ends(account_id) == []


def test_rotated_token_works_during_the_overlap(post: Post, token: str, account_id: UUID) -> None:
    new = tokens.rotate(account_id, token, timedelta(days=7), actor=ACTOR)
    assert post(dmarc_xml()).status_code == 202
    assert post(dmarc_xml(report_id="r2"), to=f"/ingest/{new.token}").status_code == 202


def test_ingest_address_has_its_own_rate_limit(
    post: Post, settings: Settings, account_id: UUID
) -> None:
    app_settings.use(settings.replace(ingest_rate_limit="2 per minute"))
    statuses = [post(dmarc_xml(report_id=str(number))).status_code for number in range(3)]
    assert statuses == [202, 202, 429]
    refused = post(dmarc_xml())
    assert refused.json["error"]["code"] == "rate_limit_exceeded"  # type: ignore[index]
    assert refused.headers["Retry-After"].isdigit()


def test_upload_over_the_daily_limit_is_429(
    post: Post, settings: Settings, account_id: UUID
) -> None:
    app_settings.use(settings.replace(ingest_files_per_day=1))
    assert post(dmarc_xml()).status_code == 202
    response = post(dmarc_xml(report_id="r2"))
    assert response.status_code == 429
    assert response.json["error"]["code"] == "quota_exceeded"  # type: ignore[index]
    assert int(response.headers["Retry-After"]) == response.json["error"]["retryAfter"]  # type: ignore[index]
    assert len(ends(account_id)) == 1


def test_twenty_concurrent_uploads_are_one_report(post: Post, account_id: UUID) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(post, wrappings(dmarc_xml()) * 5))
    assert {response.status_code for response in answers} <= {200, 202}
    assert sorted(state for state, _ in ends(account_id)) == ["duplicate"] * 3 + ["parsed"]


def test_other_methods_are_405(app: Flask, token: str) -> None:
    for method in ("GET", "PUT", "DELETE"):
        response = app.test_client().open(f"/ingest/{token}", method=method)
        assert response.status_code == 405
