"""A rolling restart of two web processes and three workers under load."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

from app.db.transactions import transaction
from app.models import Scan
from devtools.processes import free_port
from tests.e2e.service import Service, wait_for

CLIENTS = 6  # half of them keep their connections
WORKERS = ("worker", "worker-2", "worker-3")
LIMIT_SECONDS = 300


@dataclass
class Router:
    """Clients behind a router that tries the other web process if a connection is refused.

    A request that was sent is never repeated: without a response it is lost.
    """

    ports: tuple[int, int]
    token: str
    names: list[str]
    statuses: Counter[int] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    refused: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _is_over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def under_load(self) -> Iterator[None]:
        """Send requests from all clients until the end of the block."""
        with ThreadPoolExecutor(CLIENTS) as pool:
            clients = [pool.submit(self._send_all, number) for number in range(CLIENTS)]
            try:
                yield
            finally:
                self._is_over.set()
            for client in clients:
                client.result()

    def _send_all(self, number: int) -> None:
        keeps, connection = number % 2 == 0, None
        names = itertools.cycle(self.names)
        for turn in itertools.count(number):
            if self._is_over.is_set():
                break
            connection = connection or self._connect(turn)
            if connection is None:
                break
            name = next(names)
            request = ("POST", f"/v1/domains/{name}/scans") if turn % 3 else ("GET", "/v1/domains")
            is_open = self._exchange(connection, *request)
            if not (keeps and is_open):
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def _connect(self, turn: int) -> http.client.HTTPConnection | None:
        for port in (self.ports[turn % 2], self.ports[(turn + 1) % 2]):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.connect()
            except ConnectionRefusedError:
                with self._lock:
                    self.refused += 1
            else:
                return connection
        self._note_lost("both web processes refused the connection")
        return None

    def _exchange(self, connection: http.client.HTTPConnection, method: str, path: str) -> bool:
        """Send one request; False if the server closes the connection after it."""
        try:
            connection.request(method, path, headers={"Authorization": f"Bearer {self.token}"})
            response = connection.getresponse()
            response.read()
        except (OSError, http.client.HTTPException) as error:
            self._note_lost(f"{method} {path}: {error!r}")
            return False
        with self._lock:
            self.statuses[response.status] += 1
        return not response.will_close

    def _note_lost(self, reason: str) -> None:
        with self._lock:
            self.lost.append(reason)


def restart_all(service: Service, token: str, account_id: UUID) -> str:
    """No request is lost and every scan completes, whichever process is restarted."""
    ports = (service.port, free_port(0))
    web = ("web", "web-2")
    service.start_instance("web-2", PORT=str(ports[1]))
    for name in WORKERS[1:]:
        service.start_instance(name)
    wait_for(lambda: _is_ready(service, ports[1]), "the second web process")
    router = Router(ports, token, service.names)
    started = time.monotonic()
    try:
        with router.under_load():
            for name, port in zip(web, ports, strict=True):
                service.stop_instance(name)
                service.start_instance(name, PORT=str(port))
                wait_for(lambda port=port: _is_ready(service, port), name)  # type: ignore[misc]
            for name in WORKERS:
                service.stop_instance(name)
                service.start_instance(name)
        seconds = time.monotonic() - started
        wait_for(lambda: _unfinished(account_id) == 0, "the scans", LIMIT_SECONDS)
    finally:
        for name in ("web-2", *WORKERS[1:]):
            service.stop_instance(name)
    assert not router.lost, router.lost[:5]
    assert set(router.statuses) <= {200, 202}, router.statuses
    completed = _counts(account_id)
    assert set(completed) == {"completed"}, completed
    return (
        f"rolling restart in {seconds:.0f} s: {router.statuses.total()} requests, none lost,"
        f" {router.refused} connections refused, {completed['completed']} scans completed"
    )


def _is_ready(service: Service, port: int) -> bool:
    return service.call("GET", "/readyz", port=port).status == 200


def _counts(account_id: UUID) -> dict[str, int]:
    with transaction(readonly=True) as session:
        rows: Any = session.execute(
            select(Scan.status, func.count())
            .where(Scan.account_id == account_id)
            .group_by(Scan.status)
        )
        return dict(rows.all())


def _unfinished(account_id: UUID) -> int:
    counts = _counts(account_id)
    return counts.get("queued", 0) + counts.get("running", 0)
