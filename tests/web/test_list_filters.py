"""Filters of lists: what they match, and what the page says about values that are not valid."""

from urllib.parse import urlencode

import pytest

from app.services.core import alert_types
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import make_domain


@pytest.fixture
def scanned(browser: Browser) -> Browser:
    """A browser of an account with open alerts of acme.test."""
    make_domain(browser.account_id, "acme.test")
    browser.post("/domains/acme.test/scan")
    run_queued_scans(browser)
    return browser


def alerts(browser: Browser, **filters: str) -> str:
    return browser.get(f"/alerts?{urlencode(filters)}")


@pytest.mark.parametrize("part", ["acme.test", "ACME", "me.t"])
def test_alerts_are_found_by_a_part_of_the_domain(scanned: Browser, part: str) -> None:
    assert 'class="alert-row' in alerts(scanned, domain=part)


@pytest.mark.parametrize("part", ["zzz", "%", "_cme", "a b", "not@domain", "é" * 80, "dom_x"])
def test_unknown_domain_is_named_with_a_link_to_clear_the_filter(
    scanned: Browser, part: str
) -> None:
    for path in ("/alerts", "/reports", "/reports/tls", "/reports/failure"):
        page = scanned.get(f"{path}?{urlencode({'domain': part})}")
        assert f"domain “{part}”" in page, path
        assert "Clear filters" in page, path


@pytest.mark.parametrize("pattern", ["spf", "spf.*", "spf*"])
def test_a_group_of_types_can_be_chosen(scanned: Browser, pattern: str) -> None:
    page = alerts(scanned, type=pattern)
    assert "<code>spf." in page
    assert "<code>dmarc." not in page


@pytest.mark.parametrize(
    ("pattern", "type", "is_match"),
    [
        ("dmarc", "dmarc.missing", True),
        ("dmarc.*", "dmarc.missing", True),
        ("dm*", "dmarc.missing", True),
        ("*", "dmarc.missing", True),
        ("dmarc.missing", "dmarc.missing", True),
        ("dmarc.miss", "dmarc.missing", False),
        ("dmar", "dmarc.missing", False),
        ("spf", "spf_extra.missing", False),
        ("d%", "dmarc.missing", False),
    ],
)
def test_channels_and_lists_match_types_alike(pattern: str, type: str, is_match: bool) -> None:
    assert alert_types.matches(pattern, type) == is_match


def test_alert_types_are_offered(browser: Browser) -> None:
    page = alerts(browser)
    for value in ("dmarc.*", *alert_types.TYPES):
        assert f'<option value="{value}">' in page


@pytest.mark.parametrize(
    ("path", "name", "value"),
    [
        ("/alerts", "status", "bogus"),
        ("/alerts", "severity", "bogus"),
        ("/domains", "sort", "bogus"),
        ("/domains", "grade", "Z"),
        ("/domains", "profileResult", "bogus"),
        *(
            (path, name, "2026-13-99")
            for path in ("/reports", "/reports/tls")
            for name in ("from",)
        ),
        *(("/reports/failure", name, "yesterday") for name in ("from", "to")),
        ("/reports", "result", "bogus"),
        ("/reports", "partial", "bogus"),
        ("/reports/files", "status", "bogus"),
        ("/settings/audit", "about", "bogus"),
        ("/settings/audit", "from", "2026-02-30"),
        ("/settings/audit", "to", "0"),
        ("/domains/acme.test/records", "from", "2026-13-99T00:00"),
        ("/domains/acme.test/records", "result", "bogus"),
        ("/domains/acme.test/tls-records", "hasMx", "bogus"),
    ],
)
def test_invalid_filter_is_reported(browser: Browser, path: str, name: str, value: str) -> None:
    make_domain(browser.account_id, "acme.test")
    page = browser.get(f"{path}?{urlencode({name: value})}")
    assert f"The filter “{name}” was not applied: “{value}” is not valid." in page
    assert "was not applied" not in browser.get(path)


def test_bulk_action_without_a_selection_returns_to_the_list(scanned: Browser) -> None:
    back = "/alerts?status=open&type=spf.*"
    response = scanned.post("/alerts/batch", status="dismissed", back=back)
    assert response.headers["Location"].startswith("/alerts?")
    page = scanned.get(response.headers["Location"])
    assert "No alerts were changed" in page
    assert 'class="alert-row' in page
