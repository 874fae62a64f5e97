"""The pages and forms of the dashboard."""

import re
from typing import Any

from flask import Flask

from app.mailboxes.registry import MAILBOX_TYPES
from app.services.scans import runner, scans
from app.services.scans.scans import ScanFilter
from tests.support.api_scans import BAD
from tests.support.dashboard_browser import Browser
from tests.support.zones import Zone, ZoneNetwork

PAGES = (
    *("/", "/domains", "/domains/add", "/alerts", "/settings/keys", "/settings/team"),
    "/alerts/accepted",
    *("/reports", "/reports/tls", "/reports/failure", "/reports/files", "/settings/reporting"),
    "/settings/upload-tokens",
    "/settings/mailboxes",
    "/settings/integrations",
    *(f"/settings/integrations/add/{name}" for name in ("webhook", "syslog", "bulk", "splunk")),
    *(
        f"/settings/mailboxes/new/{config.type}"
        for config in MAILBOX_TYPES.values()
        if not config.is_operator_only
    ),
    *(
        "/settings/notifications",
        "/settings/security",
        "/settings/profiles",
        "/settings/security/second-factor",
        "/settings/account",
        "/settings/audit",
    ),
)


def routes(app: Flask) -> list[tuple[str, str, str]]:
    """(method, path, endpoint) of every route of the dashboard; its parameters are ``x``."""
    return [
        (method, re.sub("<[^>]+>", "x", rule.rule), rule.endpoint)
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("web.")
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"})
    ]


def run_queued_scans(browser: Browser, records: Any = BAD) -> None:
    """Run the queued scans, as a worker does."""
    queued, _ = scans.listing(browser.account_id, ScanFilter(status="queued")).page(None, 50)
    runner.run([row.id for row in queued], ZoneNetwork(Zone(records)))
