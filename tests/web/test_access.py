"""The minimum role of every form of the dashboard."""

import re

import pytest
from flask import Flask, g

from app.models.accounts import ROLES
from app.services.sign_in import sessions
from app.web.base import pages
from tests.support.dashboard_browser import make_browser
from tests.support.dashboard_pages import PAGES, routes
from tests.support.factories import make_account, make_domain

# The least role for every form; a new form must be written down here.
LEAST = {
    "web.overview.hide_steps": "viewer",
    "web.overview.show_steps": "viewer",
    "web.plans.create": "viewer",
    "web.auth.logout": "viewer",
    "web.domains.create": "member",
    "web.shares.create": "member",
    "web.shares.revoke": "member",
    "web.domains.create_many": "member",
    "web.domains.scan": "member",
    "web.domains.verify": "member",
    "web.domains.update": "member",
    "web.domains.delete": "member",
    "web.domains.hold": "admin",
    "web.domains.release": "admin",
    "web.followed_profiles.update": "admin",
    "web.mail.decide": "member",
    "web.undo.undo": "viewer",
    "web.account.set_time_zone": "viewer",
    "web.alerts.accept": "member",
    "web.alerts.change": "member",
    "web.alerts.change_many": "member",
    "web.files.upload": "member",
    "web.files.retry": "member",
    "web.files.use": "member",
    "web.reporting.create": "admin",
    "web.reporting.rotate": "admin",
    "web.reporting.revoke": "admin",
    "web.upload_tokens.create": "admin",
    "web.upload_tokens.revoke": "admin",
    "web.sinks.create": "admin",
    "web.sinks.update": "admin",
    "web.sinks.test": "admin",
    "web.sinks.pause": "admin",
    "web.sinks.resume": "admin",
    "web.sinks.skip": "admin",
    "web.sinks.remove": "admin",
    "web.mailboxes.create": "admin",
    "web.mailboxes.update": "admin",
    "web.mailboxes.test": "admin",
    "web.mailboxes.pause": "admin",
    "web.mailboxes.resume": "admin",
    "web.mailboxes.remove": "admin",
    "web.channels.create": "admin",
    "web.weekly.change": "admin",
    "web.weekly.preview": "admin",
    "web.channels.test": "admin",
    "web.channels.resend": "admin",
    "web.channels.enable": "admin",
    "web.channels.disable": "admin",
    "web.channels.replay": "admin",
    "web.channels.rotate": "admin",
    "web.domain_bulk.change_many": "member",
    "web.domain_bulk.delete_many": "member",
    "web.domain_bulk.rename_tag": "member",
    "web.domain_bulk.remove_tag": "member",
    "web.domain_bulk.save_view": "viewer",
    "web.domain_bulk.delete_view": "viewer",
    "web.alerts.assign": "member",
    "web.channels.remove": "admin",
    "web.keys.create": "admin",
    "web.keys.rotate": "admin",
    "web.keys.revoke": "admin",
    "web.team.invite": "admin",
    "web.team.withdraw": "admin",
    "web.team.change_role": "admin",
    "web.team.remove": "admin",
    "web.account.delete": "owner",
    "web.team.revoke_keys": "admin",
    "web.security.change_password": "viewer",
    "web.security.turn_on": "viewer",
    "web.security.turn_off": "viewer",
    "web.security.renew_codes": "viewer",
    "web.security.end_session": "viewer",
    "web.security.end_all": "viewer",
}


def forms(app: Flask) -> dict[str, str]:
    """The path of every form, by endpoint."""
    return {
        endpoint: path
        for method, path, endpoint in routes(app)
        if method == "POST" and endpoint not in pages.PUBLIC
    }


@pytest.mark.parametrize("role", ROLES)
def test_every_form_requires_its_minimum_role(app: Flask, role: str) -> None:
    paths = forms(app)
    assert set(paths) == set(LEAST)
    browser = make_browser(app, f"{role}@acme.test", role=role)
    browser.sign_in()
    last = ("web.security.end_all", "web.auth.logout")  # they end the session
    for endpoint in sorted(paths, key=lambda name: (name in last, name)):
        if endpoint in last:
            browser.sign_in()
        is_allowed = ROLES.index(role) <= ROLES.index(LEAST[endpoint])
        assert (browser.post(paths[endpoint]).status_code != 403) == is_allowed, endpoint


def test_viewer_sees_every_page_and_only_viewer_forms(app: Flask) -> None:
    account = make_account()
    make_domain(account.id, "acme.test")
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    paths = {path: endpoint for endpoint, path in forms(app).items()}
    for path in (*PAGES, "/domains/acme.test", "/domains/acme.test/history"):
        posts = re.findall(r'<form method="post"[^>]*action="([^"]+)"', viewer.get(path))
        assert {LEAST[paths[action]] for action in posts if action in paths} <= {"viewer"}, path
        assert "/auth/logout" in posts


def test_unlisted_endpoint_is_refused_for_every_role(app: Flask) -> None:
    owner = make_browser(app, "olga@acme.test")
    token = owner.sign_in().headers["Set-Cookie"].partition("session=")[2].partition(";")[0]
    with app.test_request_context("/"):
        g.user = sessions.find(token)
        assert pages.can("web.domains.create")
        assert not pages.can("web.nothing.create")
