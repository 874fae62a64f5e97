"""Reports of an API client's account, and the rows of their lists and exports."""

import csv
import io
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from sqlalchemy import update

from app.db.transactions import transaction
from app.models import ReportFile
from app.services.filing import processor
from app.services.ingest import files
from tests.support.api_client import Client
from tests.support.factories import make_domain
from tests.support.report_documents import DAY, YESTERDAY, dmarc_xml, failure_mail, record, tls_json

REPORTS = {"dmarc": "dmarc", "tls": "tls-rpt", "failure": "failure"}
PATHS = {**REPORTS, "files": "files"}

FIRST = dmarc_xml(report_id="first", begin=YESTERDAY - DAY, end=YESTERDAY - 1)
SECOND = dmarc_xml(
    report_id="second",
    org="other.test",
    records=[
        record(ip="192.0.2.7", count=5),
        record(ip="2001:db8::1", count=2, dkim="fail", spf="fail"),
        record(ip="192.0.2.8", count=1, dkim="fail"),
    ],
)


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


def with_reports(client: Client) -> Client:
    """The client with two aggregate reports, a TLS report, a failure report and a bad file."""
    for name in ("acme.test", "empty.test"):
        make_domain(client.account_id, name)
    upload(client, FIRST, SECOND, tls_json(), failure_mail(), b"hello")
    return client


def upload(client: Client, *contents: bytes) -> None:
    for raw in contents:
        files.store(client.account_id, raw, received_via="upload", file_name="a.bin")
    processor.run([])


def read_by_earlier_version() -> None:
    """Let all files be ones that an earlier version of the parser read."""
    with transaction() as session:
        session.execute(update(ReportFile).values(parser_version=1))
