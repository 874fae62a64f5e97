"""Sends requests, and repeats those that failed temporarily."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from mailwatch import errors
from mailwatch.calls import Call
from mailwatch.retries import Attempts, RetryPolicy


class Transport:
    """The connection of a ``Client``."""

    def __init__(self, http: httpx.Client, key: str, policy: RetryPolicy) -> None:
        self._http, self._key, self._policy = http, key, policy

    def data(self, call: Call) -> Any:
        """Return ``data`` of the response; None if the response is empty."""
        response = self.send(call)
        return response.json()["data"] if response.content else None

    def content(self, call: Call) -> bytes:
        """Return the bytes of the response."""
        return self.send(call).content

    def stream(self, call: Call) -> Iterator[bytes]:
        """Yield the bytes of the response as they arrive."""
        with self._streamed(call) as response:
            yield from response.iter_bytes()

    def lines(self, call: Call) -> Iterator[dict[str, Any]]:
        """Yield the objects of a response with JSON in lines."""
        with self._streamed(call) as response:
            for line in response.iter_lines():
                yield json.loads(line)

    def send(self, call: Call, *, is_streamed: bool = False) -> httpx.Response:
        """Return the response of the last attempt.

        is_streamed  whether the caller reads the body, and closes the response
        raises       ApiError, ConnectionFailed
        """
        attempts = Attempts(self._policy, call)
        request = call.request(self._http, self._key)
        while True:
            try:
                response = self._http.send(request, stream=True)
                if not is_streamed or not response.is_success:
                    response.read()
            except httpx.TransportError as failure:
                wait = attempts.wait_after_failure(failure)
            else:
                if response.is_success:
                    return response
                wait = attempts.wait_after_response(response)
            time.sleep(wait)

    @contextmanager
    def _streamed(self, call: Call) -> Iterator[httpx.Response]:
        response = self.send(call, is_streamed=True)
        try:
            yield response
        except httpx.TransportError as failure:
            raise errors.connection_failed(failure) from failure
        finally:
            response.close()
