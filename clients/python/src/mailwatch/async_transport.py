"""Sends requests of the async client, and repeats those that failed temporarily."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from mailwatch import errors
from mailwatch.calls import Call
from mailwatch.retries import Attempts, RetryPolicy


class AsyncTransport:
    """The connection of an ``AsyncClient``."""

    def __init__(self, http: httpx.AsyncClient, key: str, policy: RetryPolicy) -> None:
        self._http, self._key, self._policy = http, key, policy

    async def data(self, call: Call) -> Any:
        """Return ``data`` of the response; None if the response is empty."""
        response = await self.send(call)
        return response.json()["data"] if response.content else None

    async def content(self, call: Call) -> bytes:
        """Return the bytes of the response."""
        return (await self.send(call)).content

    async def stream(self, call: Call) -> AsyncIterator[bytes]:
        """Yield the bytes of the response as they arrive."""
        async with self._streamed(call) as response:
            async for part in response.aiter_bytes():
                yield part

    async def lines(self, call: Call) -> AsyncIterator[dict[str, Any]]:
        """Yield the objects of a response with JSON in lines."""
        async with self._streamed(call) as response:
            async for line in response.aiter_lines():
                yield json.loads(line)

    async def send(self, call: Call, *, is_streamed: bool = False) -> httpx.Response:
        """Return the response of the last attempt.

        is_streamed  whether the caller reads the body, and closes the response
        raises       ApiError, ConnectionFailed
        """
        attempts = Attempts(self._policy, call)
        request = call.request(self._http, self._key)
        while True:
            try:
                response = await self._http.send(request, stream=True)
                if not is_streamed or not response.is_success:
                    await response.aread()
            except httpx.TransportError as failure:
                wait = attempts.wait_after_failure(failure)
            else:
                if response.is_success:
                    return response
                wait = attempts.wait_after_response(response)
            await asyncio.sleep(wait)

    @asynccontextmanager
    async def _streamed(self, call: Call) -> AsyncIterator[httpx.Response]:
        response = await self.send(call, is_streamed=True)
        try:
            yield response
        except httpx.TransportError as failure:
            raise errors.connection_failed(failure) from failure
        finally:
            await response.aclose()
