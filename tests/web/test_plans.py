"""The page on which a user tries a change of DNS, and the formats of fixes."""

import html
import re
from typing import Any

import pytest
from flask import Flask

from tests.support.dashboard_browser import Browser, make_browser
from tests.support.dashboard_pages import run_queued_scans
from tests.support.factories import make_account, make_domain
from tests.support.zones import Zone, ZoneNetwork

PATH = "/domains/acme.test/try"
PUBLISHED: dict[Any, Any] = {
    ("acme.test", "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["192.0.2.1"],
    "acme.test": ["v=spf1 mx -all", "other=1"],
    "_dmarc.acme.test": ["v=DMARC1; p=none; rua=mailto:dmarc@acme.test"],
}


@pytest.fixture
def ann(browser: Browser) -> Browser:
    make_domain(browser.account_id, "acme.test")
    browser.client.application.extensions["network"] = ZoneNetwork(Zone(PUBLISHED))
    return browser


def attempt(browser: Browser, text: str, kind: str = "changes", status: int = 200) -> str:
    form = {"csrf": browser.csrf(), "kind": kind, "text": text}
    response = browser.client.post(PATH, data=form)
    assert response.status_code == status, response.text
    return html.unescape(response.text)


def test_domain_has_a_tab_with_the_form(ann: Browser) -> None:
    page = ann.get(PATH)
    assert f'href="{PATH}" aria-current="page"' in page
    assert "What the change does" not in page


def test_worse_better_and_unchanged_are_shown_with_the_words_of_findings(ann: Browser) -> None:
    page = attempt(ann, "- _dmarc TXT\r\n")
    assert "<strong>Worse</strong>" in page
    assert "Unchanged: DNS" in page
    assert "dmarc.missing" in page
    assert "What to do:" in page
    better = attempt(ann, '_dmarc TXT "v=DMARC1; p=reject; rua=mailto:dmarc@acme.test"')
    assert "<strong>Better</strong>" in better
    assert "gone or less severe with the change" in better
    same = attempt(ann, '@ TXT "v=spf1 mx -all"\n@ TXT other=1\n')
    assert "<strong>Unchanged</strong>" in same
    assert "Nothing was published or saved." in same


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("zone", '@ MX 10 mx\nmx A 192.0.2.1\n@ TXT "v=spf1 mx -all"\n'),
        ("octodns", "mx: {type: A, value: 192.0.2.1}\n"),
    ],
)
def test_whole_zone_is_tried(ann: Browser, kind: str, text: str) -> None:
    page = attempt(ann, text, kind)
    assert "dmarc.missing" in page
    assert text.strip() in page.replace("\r", "")  # the text is still in the form
    assert f'<option selected value="{kind}">' in page


def test_each_error_is_shown_with_its_line(ann: Browser) -> None:
    page = attempt(ann, "a A x\nb A 192.0.2.1\nwww.other.test. A 192.0.2.1\n", status=400)
    assert "line 1: 'x' is not an IPv4 address" in page
    assert "line 3: www.other.test is not in acme.test" in page
    assert "no such record is published" in attempt(ann, "- @ TXT none", status=400)
    assert "Choose one of the options" in attempt(ann, "a A 192.0.2.1", "other", status=400)
    assert "What the change does" not in page


def test_text_of_a_draft_is_escaped(ann: Browser) -> None:
    form = {"csrf": ann.csrf(), "kind": "changes", "text": "<script>alert(1)</script> TXT x"}
    response = ann.client.post(PATH, data=form)
    assert response.status_code in (200, 400)
    assert "<script>alert" not in response.text


def test_viewer_may_try_and_stranger_may_not(app: Flask, stranger: Browser) -> None:
    account = make_account("Acme")
    make_domain(account.id, "acme.test")
    app.extensions["network"] = ZoneNetwork(Zone(PUBLISHED))
    viewer = make_browser(app, "vic@acme.test", role="viewer", account=account)
    viewer.sign_in()
    assert "<strong>Worse</strong>" in attempt(viewer, "- _dmarc TXT")
    assert stranger.client.get(PATH).status_code == 404
    form = {"csrf": stranger.csrf(), "kind": "changes", "text": "- _dmarc TXT"}
    assert stranger.client.post(PATH, data=form).status_code == 404


def test_fix_is_shown_in_the_formats_of_dns_tools(browser: Browser) -> None:
    browser.post("/domains", name="acme.test", usage="sends-and-receives")
    records = {**PUBLISHED, "_dmarc.acme.test": []}
    run_queued_scans(browser, records)
    page = html.unescape(browser.get("/domains/acme.test"))
    assert "As code for your DNS tool" in page
    labels = re.findall(r"<summary>(Zone file|octoDNS|Terraform: [\w ]+|nsupdate)</summary>", page)
    assert set(labels) == {
        "Zone file",
        "octoDNS",
        "Terraform: Cloudflare",
        "Terraform: Route 53",
        "nsupdate",
    }
    assert '_dmarc.acme.test. 3600 IN TXT "v=DMARC1; p=none' in page
    assert 'update add _dmarc.acme.test. 3600 TXT "v=DMARC1; p=none' in page
