"""The service as processes with sockets, some of which are killed."""

import socket
import time
from uuid import UUID

import pytest

from app.services.api_keys import api_keys
from app.settings import Settings
from tests.e2e import drills, ingest_drill, rolling_restart_drill, slow_clients_drill
from tests.e2e.deliver import deliver
from tests.e2e.service import Running, Service, wait_for
from tests.support.factories import ACTOR, make_account, make_key
from tests.support.receivers import Receiver
from tests.support.servers import Server

pytestmark = pytest.mark.e2e


@pytest.fixture
def redis(service: Service, settings: Settings, running: Running) -> Server:
    return running[settings.database_url][1]


@pytest.fixture
def account_id(service: Service) -> UUID:
    return make_account().id


@pytest.fixture
def token(account_id: UUID) -> str:
    return make_key(account_id, rate_limit="1000000 per minute")[1]


def test_domain_is_scanned_and_its_alerts_are_read(service: Service, token: str) -> None:
    made = service.call("POST", "/v1/domains", token, {"name": "d0.test"})
    assert made.status == 201
    response = service.call("POST", "/v1/domains/d0.test/scans", token)
    assert response.status == 202
    path = response.headers["Location"]

    def is_done() -> bool:
        return bool(service.call("GET", path, token).json["data"]["status"] == "completed")

    wait_for(is_done, "the scan")
    scan = service.call("GET", path, token).json["data"]
    verdicts = {check["check"]: check["verdict"] for check in scan["checks"]}
    assert (verdicts["spf"], verdicts["dmarc"], verdicts["mx"]) == ("fail", "warn", "ok")
    alerts = service.call("GET", "/v1/alerts?status=open", token).json["data"]
    assert {alert["id"] for alert in alerts} == set(scan["alerts"]["opened"])
    assert "spf.multiple_records" in {alert["type"] for alert in alerts}


def test_slow_clients_do_not_delay_others(service: Service, token: str) -> None:
    slow_clients_drill.hold_connections(service, token, clients=60, seconds=3, limit_seconds=30)


def test_rolling_restart_loses_no_request(
    service: Service, settings: Settings, token: str, account_id: UUID
) -> None:
    if settings.database_url.startswith("sqlite"):
        pytest.skip("several web processes and workers need PostgreSQL")
    drills.add_domains(service, token)
    rolling_restart_drill.restart_all(service, token, account_id)


def test_revoked_key_is_refused_by_every_process_within_a_second(
    service: Service, account_id: UUID
) -> None:
    key, token = make_key(account_id)
    assert {service.call("GET", "/v1/me", token).status for _ in range(20)} == {200}
    api_keys.revoke(account_id, key.key_id, actor=ACTOR)
    time.sleep(1)
    assert {service.call("GET", "/v1/me", token).status for _ in range(20)} == {401}


def test_parallel_clients_share_one_limit(service: Service, account_id: UUID) -> None:
    _, token = make_key(account_id)
    drills.share_limit(service, token)


def test_scans_survive_killed_workers(service: Service, account_id: UUID, token: str) -> None:
    drills.add_domains(service, token)
    drills.kill_workers(service, token, account_id, kills=2)


def test_reports_survive_killed_processes(
    service: Service, redis: Server, account_id: UUID
) -> None:
    ingest_drill.kill_everything(service, redis, account_id, count=15, rounds=4)


def test_scans_triggered_without_redis_run_when_it_returns(
    service: Service, redis: Server, token: str
) -> None:
    drills.add_domains(service, token)
    drills.stop_redis(service, redis, token, seconds=3)


def test_deliveries_survive_failing_receivers_and_killed_workers(
    service: Service, receivers: tuple[Receiver, Receiver]
) -> None:
    flaky, healthy = receivers
    flaky.calls.clear()
    healthy.calls.clear()
    deliver(service, flaky, healthy, transitions=40, kills=1)


def test_hanging_redis_stops_neither_responses_nor_rate_limits(
    service: Service, redis: Server, account_id: UUID
) -> None:
    _, token = make_key(account_id, rate_limit="5 per minute")
    drills.hang_redis(service, redis, token, limit=5)


def test_header_of_ten_megabytes_is_refused_in_the_error_envelope(service: Service) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as connection:
        try:
            connection.sendall(b"GET /v1/me HTTP/1.1\r\nHost: x\r\nX-Big: ")
            for _ in range(10):
                connection.sendall(b"a" * 1_000_000)
            connection.sendall(b"\r\n\r\n")
        except (BrokenPipeError, ConnectionResetError):
            pass  # it has heard enough
        try:
            answer = connection.recv(65536)
        except ConnectionResetError:
            answer = b""
    assert not answer or b"HTTP/1.1 431" in answer
    assert service.call("GET", "/healthz").status == 200
