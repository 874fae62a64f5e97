"""The examples of docs/api as steps, and the state in which they run."""

import gzip
import json
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

from app.models.keys import Scope
from app.protocols.report_formats.aggregate import DkimResult, SpfResult
from app.services.api_keys import upload_tokens
from app.services.core import domain_lookup
from app.services.domains import verification
from app.services.filing import processor
from app.services.ingest import files, tokens
from app.services.scans import runner, scans
from app.services.scans.scans import ScanFilter
from app.settings import Settings
from tests.support import api_reports
from tests.support import stored_reports as reports
from tests.support.api_client import Client, make_client
from tests.support.api_examples import RECORDS, renewed_certificate
from tests.support.factories import ACTOR, make_account
from tests.support.paths import ROOT
from tests.support.report_documents import dmarc_xml, failure_mail, tls_json
from tests.support.zones import Zone, ZoneNetwork

FOLDER = ROOT / "docs" / "api"
INDEX = (FOLDER / "README.md").read_text()
# The pages in the order of the table in the index: later examples use what earlier ones created.
PAGES = re.findall(r"^\| \[[^]]+\]\(([\w-]+\.md)\) \|", INDEX, re.MULTILINE)
TEXT = "\n".join((FOLDER / page).read_text() for page in PAGES)
FENCE = r"```{}\n([^`]*)```\n"
EXAMPLE = re.compile(
    r"<!-- meanwhile: (?P<meanwhile>.*?) -->"
    rf"|{FENCE.format('sh')}\n→ (?P<answer>[^\n]*)\n(?:\n{FENCE.format('json')})?",
    re.DOTALL,
)
ROUTE = re.compile(r"^### (GET|POST|PATCH|PUT|DELETE) (/\S+)\n\nScope: ([^.\n]*)\.", re.MULTILINE)
VARIABLES = {"dom": "DOMAIN", "scan": "SCAN", "batch": "BATCH", "alert": "ALERT", "file": "FILE"}
VARIABLES |= {"dmr": "DMARC_REPORT", "tlr": "TLS_REPORT", "flr": "FAILURE_REPORT"}
FILES = {
    "@report.xml.gz": gzip.compress(dmarc_xml("example.com", "2026-11-24.1")),
    "@tls-report.json.gz": gzip.compress(
        tls_json("example.com", "2026-11-24T00:00:00Z_example.com")
    ),
}
METRICS_TOKEN = "m" * 16
VARYING = {"sizeBytes", "elapsedMs", "durationMs", "queryCount", "retryAfter"}

ID = re.compile(r"\b(dom|scan|batch|alert|cause|key|evt|acc|file|dmr|tlr|flr)_[0-9a-z]{26}\b")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
SECONDS = re.compile(r"\d+ seconds")

LOWERED = "v=DMARC1; p=none; rua=mailto:dmarc@example.com"


@dataclass(frozen=True)
class Example:
    """A call, and the answer that the page shows."""

    command: str
    status: int
    headers: dict[str, str]
    body: Any


@dataclass
class Scenario:
    """The state while the examples of a page run: the client, known values and DNS."""

    client: Client
    variables: dict[str, str]
    sent: str | bytes | None = None  # the body of the last request
    records: dict[Any, Any] = field(default_factory=lambda: dict(RECORDS))

    def publish(self, name: str, *values: str) -> None:
        """Change the DNS data."""
        self.records[name] = list(values)
        self.client.app.extensions["network"] = ZoneNetwork(Zone(self.records))

    def run_queued_scans(self) -> None:
        """Run the queued jobs as a worker does."""
        queued, _ = scans.listing(self.client.account_id, ScanFilter(status="queued")).page(
            None, 50
        )
        runner.run([row.id for row in queued], ZoneNetwork(Zone(self.records)))

    def read(self) -> None:
        """Process the received reports and a failure report, as a worker does."""
        raw = failure_mail("example.com")
        files.store(self.client.account_id, raw, received_via="upload")
        processor.run([])

    def publish_challenge(self) -> None:
        """Publish the record that proves control of the domain."""
        challenge = verification.challenge(self.client.account_id, "example.com")
        self.publish(challenge.name, challenge.value)

    def report(self) -> None:
        """Store a TLS report, and twenty days of reports with a service that is not set up."""
        domain = domain_lookup.find(self.client.account_id, "example.com")
        own = reports.record(
            "198.51.100.3",
            980,
            header_from="example.com",
            dkim_results=(DkimResult("example.com", "s1", "pass"),),
            spf_results=(SpfResult("example.com", "mfrom", "pass"),),
        )
        service = reports.record(
            "203.0.113.77",
            20,
            header_from="example.com",
            dkim=False,
            spf=False,
            dkim_results=(),
            spf_results=(SpfResult("mail.mcsv.net", "mfrom", "pass"),),
        )
        for day in range(20):
            begin = datetime(2026, 11, 1 + day, tzinfo=UTC)
            reports.store(domain, reports.Report([own, service], begin=begin))
        reports.store_tls(domain, ("sts", 97, 3))

    def renew(self) -> None:
        """Renew a certificate with a new key, while DNS has the TLSA record of the old one."""
        network, certificate = renewed_certificate(self.records)
        self.client.app.extensions["network"] = network
        self.variables["CERTIFICATE"] = json.dumps(certificate)

    def call(self, command: str) -> TestResponse:
        """Run a curl command, without curl."""
        words = shlex.split(command.replace("\\\n", " "))
        assert words.pop(0) == "curl", command
        body: str | bytes | None = None
        method, headers, path = "", dict[str, str](), ""
        for word in (iterator := iter(words)):
            if word == "-X":
                method = next(iterator)
            elif word == "--json":
                body, headers["Content-Type"] = self.filled(next(iterator)), "application/json"
            elif word == "--data-binary":
                body = FILES[next(iterator)]
            elif word == "-H":
                name, _, value = self.filled(next(iterator)).partition(": ")
                headers[name] = value
            else:
                path = self.filled(word)
        self.sent = body
        kind = headers.pop("Content-Type", None)
        method = method or ("GET" if body is None else "POST")
        caller = self.client.app.test_client()
        return caller.open(path, method=method, data=body, headers=headers, content_type=kind)

    def filled(self, text: str) -> str:
        """The text with its $VARIABLES; an unknown one is an error."""
        return re.sub(r"\$([A-Z_]+)", lambda match: self.variables[match[1]], text)

    def remember_ids(self, response: TestResponse) -> None:
        """$DOMAIN, $SCAN, … are the ids of the last resource of that type, $ETAG the last ETag."""
        if etag := response.headers.get("ETag"):
            self.variables["ETAG"] = etag
        data = (response.json or {}).get("data") if response.is_json else None
        first = data[0] if isinstance(data, list) and data else data
        if isinstance(first, dict) and "id" in first:
            prefix = str(first["id"]).partition("_")[0]
            self.variables[VARIABLES.get(prefix, "OTHER")] = str(first["id"])


MEANWHILE: dict[str, Callable[[Scenario], None]] = {
    "a worker reads reports": Scenario.read,
    "a worker scans": Scenario.run_queued_scans,
    "the ownership record is published": Scenario.publish_challenge,
    "the DMARC policy is lowered": lambda scenario: scenario.publish("_dmarc.example.com", LOWERED),
    "reports come in": Scenario.report,
    "a certificate is renewed": Scenario.renew,
    "the service is upgraded": lambda scenario: api_reports.read_by_earlier_version(),
    "SPF is fixed": lambda scenario: scenario.publish("example.com", "v=spf1 mx -all"),
}


def production(settings: Settings) -> Settings:
    """The settings of a production service: domains must be verified."""
    contact = ("mailto:security@example.com",)
    settings = settings.replace(security_contact=contact, metrics_token=METRICS_TOKEN)
    return settings.replace(domain_verification="required")


def begin(app: Flask) -> Scenario:
    """The state before the first example, in a new account."""
    client = make_client(app, make_account().id)
    read = make_client(client.app, client.account_id, [Scope.DOMAINS_READ])
    busy = make_client(client.app, client.account_id, rate_limit="1 per minute")
    busy("GET", "/v1/me")
    token = tokens.create(client.account_id, actor=ACTOR).token
    upload = upload_tokens.issue(client.account_id, "mail server", actor=ACTOR)[1]
    keys = {"READ_KEY": read.token, "BUSY_KEY": busy.token, "TOKEN": token, "UPLOAD_TOKEN": upload}
    keys["METRICS_TOKEN"] = METRICS_TOKEN
    made = Scenario(client, {"API": "", "AUTH": f"Authorization: Bearer {client.token}", **keys})
    made.publish("example.com", *RECORDS["example.com"])
    return made


def steps() -> Iterator[str | Example]:
    """The examples of the page, and the actions between them."""
    for match in EXAMPLE.finditer(TEXT):
        if match["meanwhile"]:
            yield match["meanwhile"]
            continue
        status, *headers = match["answer"].split(" · ")
        named = dict(header.strip("`").split(": ", 1) for header in headers)
        body = json.loads(match[4]) if match[4] else None
        yield Example(command=match[2], status=int(status), headers=named, body=body)


def plain(value: Any) -> Any:
    """The value without parts that differ in every response."""
    if isinstance(value, str):
        return SECONDS.sub("N seconds", TIME.sub("TIME", ID.sub(r"\1_ID", value)))
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {
            name: 0 if name in VARYING and isinstance(item, int) else plain(item)
            for name, item in value.items()
        }
    return value


def differences(documented: Any, real: Any, at: str = "") -> list[str]:
    """The paths at which the response differs from the page."""
    if documented == "…":
        return []
    if isinstance(documented, dict) and isinstance(real, dict):
        return _in_objects(documented, real, at)
    if isinstance(documented, list) and isinstance(real, list):
        may_go_on = documented[-1:] == ["…"]
        expected = documented[:-1] if may_go_on else documented
        if len(real) < len(expected) or (len(real) > len(expected) and not may_go_on):
            return [f"{at}: {len(expected)} items said, {len(real)} answered"]
        pairs = enumerate(zip(expected, real, strict=False))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{at}[{i}]")]
    if isinstance(documented, str) and isinstance(real, str):
        pattern = ".*".join(map(re.escape, documented.split("…")))
        is_same = bool(re.fullmatch(pattern, real, re.DOTALL))
    else:
        is_same = documented == real and type(documented) is type(real)
    return [] if is_same else [f"{at}: {documented!r}, not {real!r}"]


def _in_objects(documented: dict[str, Any], real: dict[str, Any], at: str) -> list[str]:
    expected = {name: value for name, value in documented.items() if name != "…"}
    extra = set() if "…" in documented else real.keys() - expected.keys()
    problems = [f"{at}: {name} is not on the page" for name in sorted(extra)]
    problems += [f"{at}: {name} is not answered" for name in sorted(expected.keys() - real.keys())]
    for name in expected.keys() & real.keys():
        problems += differences(expected[name], real[name], f"{at}.{name}")
    return problems
