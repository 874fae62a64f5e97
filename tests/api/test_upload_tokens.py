"""Upload tokens and the public report address, and attacks on both."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from flask import Flask
from sqlalchemy import select
from werkzeug.test import TestResponse

from app import settings as app_settings
from app.analysis.mail.periods import Window
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Alert, AuditEvent, DmarcReport, DomainState, UploadToken
from app.models.keys import Scope
from app.services.accounts import accounts
from app.services.analytics import policy
from app.services.api_keys import api_keys, upload_tokens
from app.services.core import domain_lookup
from app.services.filing import processor
from app.services.ingest import files as ingest_files
from app.services.ingest import tokens
from app.services.ingest.files import ReportFileFilter
from app.services.monitoring import report_monitor
from app.settings import Settings
from tests.support import stored_reports as reports
from tests.support.factories import ACTOR, make_account, make_domain
from tests.support.report_documents import dmarc_xml, mailed, record, tls_json

Post = Callable[..., TestResponse]
FORGED = b"Authentication-Results: mx.monitoring.test; dmarc=pass header.from=receiver.test\r\n"


@pytest.fixture
def account_id(app: Flask) -> UUID:
    account = make_account()
    make_domain(account.id, "acme.test")
    return account.id


@pytest.fixture
def post(app: Flask, account_id: UUID) -> Post:
    """Post to the account's public report address, with an upload token if there is one."""
    address = tokens.create(account_id, actor=ACTOR).token

    def send(data: bytes, token: str | None = None, path: str = "") -> TestResponse:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return app.test_client().post(f"/ingest/{address}{path}", data=data, headers=headers)

    return send


def issue(account_id: UUID, **options: datetime) -> str:
    return upload_tokens.issue(account_id, "mail server", actor=ACTOR, **options)[1]


def files(account_id: UUID) -> list[tuple[str, str, str]]:
    """(route, status, provenance) of every file, oldest first, once all are parsed."""
    processor.run([])
    rows, _ = ingest_files.search(account_id, ReportFileFilter()).page(None, 100)
    return [(row.received_via, row.status, row.provenance) for row in reversed(rows)]


def test_report_posted_to_the_public_address_is_unverified(post: Post, account_id: UUID) -> None:
    assert post(dmarc_xml()).status_code == 202
    assert post(tls_json(), path="/tls-rpt").status_code == 201
    assert files(account_id) == [("http", "parsed", "unverified")] * 2


def test_report_uploaded_with_a_token_is_trusted(post: Post, account_id: UUID) -> None:
    token = issue(account_id)
    assert post(dmarc_xml(), token).status_code == 202
    assert post(tls_json(), token, "/tls-rpt").status_code == 201
    assert files(account_id) == [("upload", "parsed", "token")] * 2
    [row] = upload_tokens.search(account_id)
    assert row.last_used_at is not None


def test_forged_authentication_results_replace_no_report(
    post: Post, account_id: UUID, settings: Settings
) -> None:
    app_settings.use(settings.replace(trusted_authserv_ids=("mx.monitoring.test",)))
    post(dmarc_xml(report_id="7"), issue(account_id))
    processor.run([])
    forged = dmarc_xml(report_id="7").replace(b"<count>", b"<count>9")
    assert forged != dmarc_xml(report_id="7")
    assert post(FORGED + mailed(forged)).status_code == 202
    assert files(account_id) == [
        ("upload", "parsed", "token"),
        ("http", "conflict", "unverified"),
    ]
    with transaction(readonly=True) as session:
        [report] = session.scalars(select(DmarcReport)).all()
        assert report.provenance == "token"


@pytest.mark.parametrize("path", ["", "/tls-rpt"])
def test_token_of_another_address_is_401(post: Post, account_id: UUID, path: str) -> None:
    good, expired, revoked = issue(account_id), issue(account_id), issue(account_id)
    last, _, _ = upload_tokens.search(account_id)
    upload_tokens.revoke(account_id, last.token_id, actor=ACTOR)
    with transaction() as session:
        row = session.scalar(select(UploadToken).where(UploadToken.token_id == expired[3:15]))
        assert row is not None
        row.expires_at = datetime.now(UTC) - timedelta(seconds=1)
    other = make_account("Other")
    suspended = make_account("Suspended")
    of_suspended = issue(suspended.id)
    accounts.suspend("Suspended")
    key = api_keys.issue(account_id, api_keys.NewKey("k", [Scope.REPORTS_READ]), actor=ACTOR)[1]
    wrong_secret = good[:20] + ("x" if good[20] != "x" else "y") + good[21:]
    refused = [expired, revoked, issue(other.id), of_suspended, key, wrong_secret, "mu_", "x", ""]
    bodies = {}
    for token in refused:
        response = post(dmarc_xml(), token or " ", path)
        assert response.status_code == 401, token
        assert response.headers["X-RateLimit-Limit"].isdigit()
        error = response.get_json()["error"]
        bodies[token] = (error["code"], error["message"])
    assert set(bodies.values()) == {("unauthorized", "Invalid upload token")}
    assert files(account_id) == []
    assert post(dmarc_xml(), good).status_code == 202


def test_token_does_not_make_an_unknown_address_valid(app: Flask, account_id: UUID) -> None:
    headers = {"Authorization": f"Bearer {issue(account_id)}"}
    response = app.test_client().post("/ingest/unknown", data=b"x", headers=headers)
    assert response.status_code == 404


def test_upload_token_is_no_api_key(app: Flask, account_id: UUID) -> None:
    headers = {"Authorization": f"Bearer {issue(account_id)}"}
    assert app.test_client().get("/v1/me", headers=headers).status_code == 401


def test_unknown_senders_do_not_reduce_the_rate_of_own_uploads(
    post: Post, account_id: UUID, settings: Settings
) -> None:
    app_settings.use(settings.replace(ingest_rate_limit="2 per minute"))
    statuses = [post(dmarc_xml(report_id=str(number))).status_code for number in range(3)]
    assert statuses == [202, 202, 429]
    assert post(dmarc_xml(report_id="own"), issue(account_id)).status_code == 202


def test_token_is_stored_only_as_a_digest_and_audited(account_id: UUID) -> None:
    row, token = upload_tokens.issue(account_id, "mail server", actor=ACTOR)
    with transaction(readonly=True) as session:
        stored = session.get_one(UploadToken, row.id)
        values = [str(value) for value in vars(stored).values()]
        [event] = session.scalars(select(AuditEvent).where(AuditEvent.target == row.token_id))
    secret = token[15:47]
    assert not any(secret in value for value in values)
    assert event.action == "upload_token.created"
    assert secret not in str(event.details)


def test_token_survives_a_change_of_the_secret_key(account_id: UUID, settings: Settings) -> None:
    token = issue(account_id)
    changed = settings.replace(secret_key="n" * 32, secret_key_previous=(settings.secret_key,))
    app_settings.use(changed)
    assert upload_tokens.authenticate(token) is not None
    app_settings.use(changed.replace(secret_key_previous=()))
    assert upload_tokens.authenticate(token) is not None  # its digest was renewed


def test_invalid_upload_token_is_refused(account_id: UUID) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    for name, expires_at in (("", None), ("x" * 101, None), ("a\nb", None), ("ok", past)):
        with pytest.raises(InvalidRequest):
            upload_tokens.issue(account_id, name, actor=ACTOR, expires_at=expires_at)
    row, _ = upload_tokens.issue(account_id, "ok", actor=ACTOR)
    with pytest.raises(NotFound):
        upload_tokens.revoke(make_account("Other").id, row.token_id, actor=ACTOR)


@pytest.mark.parametrize("has_token", [False, True])
def test_forged_reports_at_the_published_address_open_no_alert_above_info(
    post: Post, account_id: UUID, has_token: bool
) -> None:
    domain = domain_lookup.find(account_id, "acme.test")
    end = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    facts = {"record": "v=DMARC1; p=none", "record_at": "acme.test", "org_domain": "acme.test"}
    with transaction() as session:
        state = {"last_results": {"dmarc": {"facts": facts}}, "account_id": account_id}
        session.merge(DomainState(domain_id=domain.id, **state))
    honest = reports.record(count=100)
    for day in range(1, 34):
        reports.store(domain, reports.Report([honest], begin=end - timedelta(days=day)))
    window = Window.between(end - timedelta(days=30), end)

    def verdict() -> tuple[int, list[tuple[bool | None, int, int]]]:
        readiness = policy.assess_readiness(account_id, "acme.test", window)
        steps = [(step.is_ready, len(step.blockers), step.spoofed) for step in readiness.steps]
        return readiness.evidence.messages, steps

    before = verdict()
    rows = [record(count=50_000, dkim="fail", spf="fail"), record(ip="203.0.113.9", count=900)]
    forged = dmarc_xml(org="google.com", records=rows)
    assert post(forged, issue(account_id) if has_token else None).status_code == 202
    processor.run([])
    report_monitor.evaluate_domain(domain.id)
    with transaction(readonly=True) as session:
        alerts = session.scalars(select(Alert).where(Alert.severity != "info")).all()
    assert bool(alerts) is has_token
    assert (verdict() != before) is has_token
