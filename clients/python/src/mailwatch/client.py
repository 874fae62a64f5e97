"""The clients: ``Client``, and ``AsyncClient`` with the same methods as coroutines."""

from types import TracebackType
from typing import Self

import httpx

from mailwatch import files
from mailwatch.async_transport import AsyncTransport
from mailwatch.calls import Call
from mailwatch.generated import models
from mailwatch.generated.async_resources import AsyncResources
from mailwatch.generated.resources import Resources
from mailwatch.retries import RetryPolicy
from mailwatch.transport import Transport
from mailwatch.version import VERSION

TIMEOUT_SECONDS = 60.0  # a request that waits for a scan takes up to 30
SCAN_WAIT_SECONDS = 30
FINISHED = ("completed", "failed", "cancelled")


class Client(Resources):
    """A client of one service with one API key. Close it, or use it in a ``with`` statement.

    url     the address of the service, such as ``https://mailwatch.example``
    key     the API key
    http    an httpx client with your own settings, such as a proxy; it must have no ``base_url``
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retries: RetryPolicy | None = None,
        http: httpx.Client | None = None,
    ) -> None:
        self._http = http or httpx.Client(timeout=TIMEOUT_SECONDS)
        self._http.base_url = url
        self._http.headers["User-Agent"] = _USER_AGENT
        self._transport = Transport(self._http, key, retries or RetryPolicy())
        super().__init__(self._transport)

    def send(self, call: Call) -> httpx.Response:
        """Return the response to any request, with its headers.

        raises  ApiError, ConnectionFailed
        """
        return self._transport.send(call)

    def upload_report(
        self, address: str, content: bytes, *, upload_token: str | None = None
    ) -> list[models.IngestedFile]:
        """Upload a report file, unchanged.

        address       the report address, as the dashboard shows it, or its last part
        upload_token  without it, the report is ``unverified``
        """
        call = files.upload(address, content, upload_token)
        result: models.IngestResult = self._transport.data(call)
        return result["files"]

    def wait_for_scan(self, scan: models.Scan) -> models.Scan:
        """Return the scan when it has finished."""
        while scan["status"] not in FINISHED:
            scan = self.scans.get(scan["id"], wait=SCAN_WAIT_SECONDS)
        return scan

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class AsyncClient(AsyncResources):
    """The client for programs with asyncio; see ``Client``."""

    def __init__(
        self,
        url: str,
        key: str,
        *,
        retries: RetryPolicy | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._http = http or httpx.AsyncClient(timeout=TIMEOUT_SECONDS)
        self._http.base_url = url
        self._http.headers["User-Agent"] = _USER_AGENT
        self._transport = AsyncTransport(self._http, key, retries or RetryPolicy())
        super().__init__(self._transport)

    async def send(self, call: Call) -> httpx.Response:
        """Return the response to any request; see ``Client``."""
        return await self._transport.send(call)

    async def upload_report(
        self, address: str, content: bytes, *, upload_token: str | None = None
    ) -> list[models.IngestedFile]:
        """Upload a report file, unchanged; see ``Client``."""
        call = files.upload(address, content, upload_token)
        result: models.IngestResult = await self._transport.data(call)
        return result["files"]

    async def wait_for_scan(self, scan: models.Scan) -> models.Scan:
        """Return the scan when it has finished."""
        while scan["status"] not in FINISHED:
            scan = await self.scans.get(scan["id"], wait=SCAN_WAIT_SECONDS)
        return scan

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


_USER_AGENT = f"mailwatch-client/{VERSION}"
