"""Reports of an API client's account, and the rows of their lists and exports."""

import csv
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from app.services.filing import processor
from app.services.ingest import files
from tests.support.api_client import Client
from tests.support.report_documents import dmarc_xml, failure_mail, tls_json

REPORTS = {"dmarc": "dmarc", "tls": "tls-rpt", "failure": "failure"}
PATHS = {**REPORTS, "files": "files"}


def reports(client: Client) -> dict[str, str]:
    """One report of each kind, and one report file."""
    for raw in (dmarc_xml(), tls_json(), failure_mail()):
        files.store(client.account_id, raw, received_via="http")
    processor.run([])
    return {
        kind: client.data("GET", f"/v1/reports/{path}")[0]["id"] for kind, path in PATHS.items()
    }


def rows(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))


def listed(client: Client, link: str) -> Iterator[Any]:
    """All items behind a link, page by page."""
    cursor = ""
    while True:
        page = client("GET", f"{link}&limit=3{cursor}")
        assert page.status_code == 200, page.text
        yield from page.json["data"]
        following = page.json["meta"]["pagination"]["nextCursor"]
        if following is None:
            return
        cursor = f"&cursor={following}"


def counted(client: Client, link: str, **filters: str) -> int:
    more = "".join(f"&{name}={quote(value)}" for name, value in filters.items())
    return sum(item["countInPeriod"] for item in listed(client, link + more))
