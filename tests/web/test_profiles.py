"""The page of compliance profiles."""

from tests.support.api_scans import BAD
from tests.support.dashboard_browser import Browser
from tests.support.dashboard_pages import run_queued_scans


def test_page_shows_results_clauses_and_what_to_do(browser: Browser) -> None:
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    run_queued_scans(browser, BAD)
    page = browser.get("/domains/acme.test/profiles")
    assert 'href="/domains/acme.test/profiles" aria-current="page"' in page
    assert "PCI DSS 4.0.1, requirement 5.4.1" in page
    assert "Fails 1 of 5 clauses" in page
    assert "spf.multiple_records" in page
    assert "To meet this clause:" in page
    assert "Only the messages show it." in page


def test_domain_without_a_scan_is_undetermined(browser: Browser) -> None:
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    page = browser.get("/domains/acme.test/profiles")
    assert "has not run yet" in page
    assert "To meet this clause:" not in page


def test_followed_profiles_are_selected_in_the_settings(browser: Browser) -> None:
    page = browser.get("/settings/profiles")
    assert 'value="pci-dss-5-4-1">' in page
    browser.post("/settings/profiles", profile=["pci-dss-5-4-1", "cisa-bod-18-01"])
    page = browser.get("/settings/profiles")
    assert 'value="pci-dss-5-4-1" checked>' in page
    assert 'value="internet-nl-mail">' in page
    browser.post("/settings/profiles")
    assert "checked>" not in browser.get("/settings/profiles")


def test_domains_are_filtered_by_profile_and_result(browser: Browser) -> None:
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    run_queued_scans(browser, BAD)
    row = 'href="/domains/acme.test"'
    assert row in browser.get("/domains?profile=pci-dss-5-4-1")  # fails, without a result
    page = browser.get("/domains?profile=pci-dss-5-4-1&profileResult=fail")
    assert row in page
    assert '<option value="pci-dss-5-4-1" selected>' in page
    page = browser.get("/domains?profile=pci-dss-5-4-1&profileResult=pass")
    assert row not in page
    assert "No matching domains" in page
    assert row in browser.get("/domains?profile=iso-0&profileResult=pass")  # ignored


def test_followed_profiles_link_to_the_domains_that_fail_them(browser: Browser) -> None:
    page = browser.get("/settings/profiles")
    assert 'href="/domains?profile=pci-dss-5-4-1&amp;profileResult=fail"' in page
