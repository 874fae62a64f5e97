"""The Python client against a real service: resources, pages, errors, idempotency, webhooks."""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

import mailwatch
from app.models.keys import Scope
from app.services.api_keys import upload_tokens
from app.services.ingest import tokens
from app.services.notifications import channels
from app.services.notifications.channels import NewChannel
from mailwatch import AsyncClient, Client, errors
from mailwatch.retries import RetryPolicy
from tests.e2e.service import Service, wait_for
from tests.support import client_wheels
from tests.support.factories import ACTOR, make_account, make_key
from tests.support.paths import ROOT
from tests.support.receivers import LoopbackNetwork, Receiver
from tests.support.report_documents import dmarc_xml

pytestmark = pytest.mark.e2e

README = ROOT / "clients" / "python" / "README.md"


@pytest.fixture
def account_id() -> UUID:
    return make_account().id


@pytest.fixture
def url(service: Service) -> str:
    return f"http://127.0.0.1:{service.port}"


@pytest.fixture
def key(service: Service, account_id: UUID) -> str:
    return make_key(account_id, rate_limit="1000000 per minute")[1]


@pytest.fixture
def client(url: str, key: str) -> Iterator[Client]:
    with Client(url, key) as client:
        yield client


def test_domain_is_scanned_and_its_findings_are_read(client: Client) -> None:
    domain = client.domains.create({"name": "d0.test", "schedule": "off"})
    scan = client.wait_for_scan(client.scans.trigger(domain["id"]))
    codes = {finding["code"] for check in scan["checks"] or [] for finding in check["findings"]}
    assert scan["status"] == "completed"
    assert "spf.multiple_records" in codes
    assert client.dns.status("d0.test")["domainId"] == domain["id"]
    assert client.profiles.results("d0.test")
    client.domains.delete("d0.test")
    with pytest.raises(errors.NotFound) as raised:
        client.domains.get("d0.test")
    assert raised.value.code == "not_found"
    assert raised.value.request_id


def test_list_is_read_page_by_page(client: Client) -> None:
    names = [f"d{number}.test" for number in range(7)]
    client.domains.create_many({"domains": [{"name": name, "schedule": "off"} for name in names]})
    pager = client.domains.list(page_size=3, sort="name")
    assert [len(page) for page in pager.pages()] == [3, 3, 1]
    assert [domain["name"] for domain in pager] == names
    lines = b"".join(client.domains.export("csv", sort="name")).splitlines()
    assert len(lines) == 8


async def test_async_client_has_the_same_lists_and_exports(url: str, key: str) -> None:
    async with AsyncClient(url, key) as client:
        for number in range(3):
            await client.domains.create({"name": f"d{number}.test", "schedule": "off"})
        pager = client.domains.list(page_size=2, sort="name")
        assert [domain["name"] async for domain in pager] == ["d0.test", "d1.test", "d2.test"]
        assert [len(page) async for page in pager.pages()] == [2, 1]
        exported = [part async for part in client.domains.export("ndjson")]
        assert b"".join(exported).count(b"\n") == 3
        scan = await client.wait_for_scan(await client.scans.trigger("d0.test"))
        assert scan["status"] == "completed"
        kinds = {record["kind"] async for record in client.records.list()}
        assert {"scan", "finding", "alert"} <= kinds


def test_error_names_every_invalid_field(client: Client) -> None:
    with pytest.raises(errors.InvalidRequest) as raised:
        client.send(
            mailwatch.Call(
                method="POST",
                path="/v1/domains",
                body={"name": "a.test", "color": "red", "usage": 1},
            )
        )
    assert {field["field"] for field in raised.value.fields} == {"color", "usage"}


def test_existing_domain_and_missing_scope_have_errors_of_their_own(
    client: Client, url: str, account_id: UUID
) -> None:
    domain = client.domains.create({"name": "d0.test"})
    with pytest.raises(errors.Conflict) as raised:
        client.domains.create({"name": "d0.test"})
    assert raised.value.existing_id == domain["id"]
    _, token = make_key(account_id, [Scope.ALERTS_READ])
    with Client(url, token) as other, pytest.raises(errors.Forbidden, match="domains:read"):
        other.domains.get("d0.test")
    with Client(url, "mp_wrong") as other, pytest.raises(errors.Unauthorized):
        other.me.get()


def test_own_idempotency_key_returns_the_first_response(client: Client) -> None:
    first = client.domains.create({"name": "d0.test"}, idempotency_key="release-7")
    assert client.domains.create({"name": "d0.test"}, idempotency_key="release-7") == first


def test_key_over_its_limit_gets_the_time_to_wait(url: str, account_id: UUID) -> None:
    _, token = make_key(account_id, rate_limit="2 per minute")
    with Client(url, token, retries=RetryPolicy(max_wait_seconds=0)) as client:
        client.me.get()
        client.me.get()
        with pytest.raises(errors.RateLimited) as raised:
            client.me.get()
    assert 0 < (raised.value.retry_after or 0) <= 60


def test_uploaded_report_is_filed(client: Client, account_id: UUID) -> None:
    client.domains.create({"name": "d0.test", "schedule": "off"})
    address = tokens.create(account_id, actor=ACTOR).token
    _, upload_token = upload_tokens.issue(account_id, "ci", actor=ACTOR)
    content = dmarc_xml("d0.test")
    [stored] = client.upload_report(address, content, upload_token=upload_token)

    def is_parsed() -> bool:
        return client.report_files.get(stored["id"])["status"] == "parsed"

    wait_for(is_parsed, "the worker")
    assert client.report_files.raw(stored["id"]) == content
    [report] = client.dmarc_reports.list(domain="d0.test")
    assert report["provenance"] == "token"
    [record] = client.dmarc_reports.records(report["id"])
    assert record["count"] == 3


def test_webhook_of_the_service_is_verified(
    service: Service, account_id: UUID, receivers: tuple[Receiver, Receiver]
) -> None:
    receiver, calls = receivers[1], len(receivers[1].calls)
    new = NewChannel("hook", "webhook", receiver.url)
    _, secret = channels.add(account_id, new, LoopbackNetwork(), actor=ACTOR)
    channels.test(account_id, "hook", actor=ACTOR)
    wait_for(lambda: len(receiver.calls) > calls, "the webhook")
    call = receiver.calls[-1]
    assert mailwatch.webhooks.verify(call.body, call.headers, secret or "")["type"] == "test"
    for body, headers in (
        (call.body + b" ", call.headers),
        (call.body, {**call.headers, "webhook-signature": "v1"}),
        (call.body, {**call.headers, "webhook-timestamp": "1"}),
        (call.body, {}),
    ):
        with pytest.raises(errors.InvalidSignature):
            mailwatch.webhooks.verify(body, headers, secret or "")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel of the client."""
    directory = tmp_path_factory.mktemp("wheels")
    wheel = client_wheels.build("python", directory)
    return client_wheels.install([wheel], directory / "environment")


def test_tour_of_the_readme_runs_with_the_installed_wheel(
    url: str, key: str, programs: Path, tmp_path: Path
) -> None:
    scripts = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    variables = {"PATH": os.environ["PATH"], "MAILWATCH_URL": url, "MAILWATCH_API_KEY": key}
    outputs = []
    for script in scripts:
        result = subprocess.run(
            [programs / "python", "-c", script],
            env=variables,
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        outputs.append(result.stdout)
    tour, listed, _ = outputs
    assert "spf.multiple_records" in tour
    assert tour.splitlines()[-1].startswith("not_found Domain 'unknown.example' was not found")
    assert listed.startswith("d1.test ")
