"""Links that show the checks of one domain without signing in, until they expire."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import select, update

from app import settings as app_settings
from app.db.transactions import transaction
from app.models import Account, AuditEvent, ShareLink
from app.services.domain_status import share_links
from app.services.scans import scans
from app.settings import Settings
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import routes, run_queued_scans
from tests.support.factories import ACTOR, make_domain
from tests.support.people import colleague

MISSING = "doesn't exist, has expired or was revoked"
PUBLIC = {"web.static", "web.auth.login", "web.passwords.lost", "web.shared.show"}


@pytest.fixture
def owner(browser: Browser) -> Browser:
    """A browser of an account with a scanned domain, whose alerts and report data are secret."""
    make_domain(browser.account_id, "acme.test")
    scans.trigger(browser.account_id, "acme.test", actor=ACTOR)
    run_queued_scans(browser)
    return browser


def create(browser: Browser, shows: str = "all", days: str = "7") -> str:
    """Create a link, and return its path."""
    page = browser.submit("/domains/acme.test/shares", shows=shows, days=days)
    match = re.search(r"http://127\.0\.0\.1:8000(/shared/[\w-]+)", page)
    assert match is not None, page
    return match[1]


def link_id(browser: Browser) -> str:
    """The id of the only link on the page of the domain."""
    (id,) = re.findall(r"/shares/(share_\w+)/revoke", browser.get("/domains/acme.test"))
    return str(id)


def change(**values: Any) -> None:
    with transaction() as session:
        session.execute(update(ShareLink).values(**values))


def test_everyone_who_has_the_link_sees_the_checks_only(app: Flask, owner: Browser) -> None:
    path = create(owner)
    response = app.test_client().get(path)
    assert response.status_code == 200
    page = response.text
    assert "<h1>Checks of acme.test</h1>" in page
    assert "SPF" in page
    assert "v=spf1 mx -all" in page
    for secret in ("ann@acme.test", "Alert", "alert_", "/domains", "/settings", "csrf", "<form"):
        assert secret not in page
    assert response.headers["X-Robots-Tag"] == "noindex, nofollow"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert "Set-Cookie" not in response.headers
    assert '<meta name="robots" content="noindex, nofollow">' in page


def test_signed_in_readers_see_the_same_page(owner: Browser, stranger: Browser) -> None:
    path = create(owner)
    page = stranger.get(path)
    assert "Checks of acme.test" in page
    assert "eve@other.test" not in page
    assert owner.get(path) == page


def test_link_to_one_check_shows_only_this_check(app: Flask, owner: Browser) -> None:
    page = app.test_client().get(create(owner, shows="dmarc")).text
    assert 'id="check-dmarc"' in page
    assert page.count('id="check-') == 1


def test_token_is_shown_once_and_only_its_digest_is_stored(owner: Browser) -> None:
    response = owner.post("/domains/acme.test/shares", shows="all", days="1")
    location = response.headers["Location"]
    match = re.search(r"/shared/([\w-]+)", owner.get(location))
    assert match is not None
    token = match[1]
    assert len(token) * 6 >= 128
    assert token not in owner.get(location, 410)
    assert token not in owner.get("/domains/acme.test")
    with transaction(readonly=True) as session:
        (link,) = session.scalars(select(ShareLink))
        events = session.scalars(
            select(AuditEvent).where(AuditEvent.action.startswith("share_link."))
        ).all()
    assert token.encode() not in link.digest
    assert len(link.digest) == 32
    assert timedelta(hours=23) < link.expires_at - datetime.now(UTC) <= timedelta(days=1)
    assert [(event.action, event.details["domain"]) for event in events] == [
        ("share_link.created", "acme.test")
    ]
    assert token not in str(events[0].details)


def test_unknown_expired_and_revoked_links_have_the_same_page(app: Flask, owner: Browser) -> None:
    client = app.test_client()
    unknown = client.get("/shared/" + "x" * 32)
    path = create(owner)
    change(expires_at=datetime.now(UTC))
    expired = client.get(path)
    change(expires_at=datetime.now(UTC) + timedelta(days=1), revoked_at=datetime.now(UTC))
    revoked = client.get(path)
    change(revoked_at=None)
    assert client.get(path).status_code == 200
    with transaction() as session:
        suspended = update(Account).where(Account.id == owner.account_id)
        session.execute(suspended.values(status="suspended"))
    inactive = client.get(path)
    pages = [unknown, expired, revoked, inactive]
    assert {page.status_code for page in pages} == {404}
    assert len({page.text for page in pages}) == 1
    assert MISSING in unknown.text
    assert all(page.headers["X-Robots-Tag"] == "noindex, nofollow" for page in pages)


@hypothesis_settings(
    max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(token=st.text(st.characters(exclude_characters="/?#\\"), min_size=1, max_size=200))
def test_no_other_token_opens_a_link(app: Flask, owner: Browser, token: str) -> None:
    response = app.test_client().get("/shared/" + token.encode("utf-8", "replace").decode())
    assert response.status_code in (404, 308)


def test_link_opens_no_other_page(app: Flask, owner: Browser) -> None:
    token = create(owner).rpartition("/")[2]
    for method, path, endpoint in routes(app):
        if endpoint in PUBLIC or method != "GET":
            continue
        client = app.test_client()
        client.set_cookie("session", token)
        filled = path.replace("/x", f"/{token}")
        for address in (path, filled, f"{path}?token={token}"):
            response = client.get(address, headers={"Authorization": f"Bearer {token}"})
            assert response.status_code != 200 or "acme.test" not in response.text, address
    response = app.test_client().get("/v1/domains", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert app.test_client().post(f"/shared/{token}").status_code == 405


def test_link_is_revoked_and_the_revocation_is_undone(app: Flask, owner: Browser) -> None:
    path, client = create(owner), app.test_client()
    page = owner.submit(f"/domains/acme.test/shares/{link_id(owner)}/revoke")
    assert "The share link was revoked." in page
    assert client.get(path).status_code == 404
    undo = re.search(r'action="(/undo/\w+)"', page)
    assert undo is not None
    assert "the share link opens again" in owner.submit(undo[1])
    assert client.get(path).status_code == 200


def test_another_account_neither_creates_nor_revokes(owner: Browser, stranger: Browser) -> None:
    create(owner)
    id = link_id(owner)
    make_domain(stranger.account_id, "acme.test")
    assert stranger.post(f"/domains/acme.test/shares/{id}/revoke").status_code == 404
    make_domain(owner.account_id, "other.test")
    assert owner.post(f"/domains/other.test/shares/{id}/revoke").status_code == 404
    assert stranger.post("/domains/other.test/shares", shows="all", days="1").status_code == 404
    assert id in owner.get("/domains/acme.test")
    assert id not in stranger.get("/domains/acme.test")


def test_viewer_sees_the_links_and_cannot_change_them(app: Flask, owner: Browser) -> None:
    create(owner)
    viewer = colleague(app, owner, "viewer")
    assert "Create share link" not in viewer.get("/domains/acme.test")
    assert viewer.post("/domains/acme.test/shares", shows="all", days="1").status_code == 403
    path = f"/domains/acme.test/shares/{link_id(owner)}/revoke"
    member = colleague(app, owner, "member")
    assert viewer.post(path).status_code == 403
    assert member.post(path).status_code == 303


@pytest.mark.parametrize(
    ("shows", "days"), [("all", "2"), ("all", ""), ("nothing", "7"), ("", "7"), ("all", "x" * 99)]
)
def test_invalid_link_is_not_created(owner: Browser, shows: str, days: str) -> None:
    page = owner.submit("/domains/acme.test/shares", shows=shows, days=days)
    assert "No link was created" in page
    with transaction(readonly=True) as session:
        assert session.scalars(select(ShareLink)).all() == []


def test_number_of_valid_links_is_limited(owner: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(share_links, "MAX_LINKS", 1)
    create(owner)
    page = owner.submit("/domains/acme.test/shares", shows="all", days="7")
    assert "at most 1 links" in page
    change(expires_at=datetime.now(UTC))
    create(owner)


def test_requests_are_limited_by_address(app: Flask, owner: Browser, settings: Settings) -> None:
    path = create(owner)
    app_settings.use(settings.replace(dashboard_anonymous_rate_limit="3 per minute"))
    client = app.test_client()
    statuses = [client.get(path).status_code for _ in range(4)]
    assert statuses[0] == 200
    assert statuses[-1] == 429
    assert owner.client.get(path).status_code == 429  # also for users
