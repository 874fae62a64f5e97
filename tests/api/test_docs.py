"""The page that shows the API to people."""

import re

from flask import Flask


def test_the_page_names_every_route_and_loads_only_what_is_served_here(app: Flask) -> None:
    caller = app.test_client()
    page = caller.get("/docs")
    assert page.status_code == 200
    assert "/v1/domains/{domain}/scans" in page.text
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert loaded
    for address in loaded:
        assert address.startswith("/"), address
        with caller.get(address) as response:
            assert response.status_code == 200, address


def test_the_page_may_run_no_script(app: Flask) -> None:
    policy = app.test_client().get("/docs").headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
