"""The network of a process, and the access that one scan or job has to it."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from app.ports.dns import LookupFailed, Resolver
from app.ports.http import HttpClient, Page, Request
from app.ports.smtp import TlsProbe, TlsProber
from app.ports.streams import StreamRequest, StreamSender

T = TypeVar("T")


class NetworkSession(Resolver, HttpClient, TlsProber, StreamSender):
    """DNS, HTTPS and SMTP for one scan or job. Failures and timeouts raise ``LookupFailed``."""

    @abstractmethod
    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        """Return the response of ``https://host/path``; see ``HttpClient``."""

    async def refusal(self, host: str) -> str | None:
        """Return why the client would refuse the host; see ``HttpClient``."""
        raise LookupFailed(host, "HTTPS", "network")

    async def public_addresses(self, host: str) -> list[str]:
        """Return the addresses of the host; none if any of them is not public.

        raises  LookupFailed
        """
        raise LookupFailed(host, "A", "network")

    async def send_stream(self, host: str, request: StreamRequest) -> str | None:
        """Send data over a connection of its own; see ``StreamSender``."""
        raise LookupFailed(host, "A", "network")

    async def probe_tls(self, host: str) -> TlsProbe:
        """Return the TLS probe of a mail host; checks only read stored probes."""
        raise LookupFailed(host, "SMTP", "network")


SessionFactory = Callable[[], NetworkSession]


class Fetch(Protocol):
    """A blocking HTTPS client for many requests, which reuses connections to the same host."""

    def __call__(self, host: str, path: str, request: Request, *, seconds: float) -> Page:
        """Return the response of ``https://host/path``; see ``HttpClient``.

        seconds  the timeout of the whole request, after which it raises LookupFailed
        """


class Network(ABC):
    """The network of this process, or a dictionary in tests."""

    @abstractmethod
    def run(self, main: Callable[[SessionFactory], Coroutine[Any, Any, T]]) -> T:
        """Return the result of ``main``, run to completion in a new event loop.

        main  receives a function that opens sessions: one call for each scan or job, each with its
              own query budget. All share pending queries and cached answers.
        """

    @abstractmethod
    def fetching(self) -> AbstractContextManager[Fetch]:
        """Return a blocking HTTPS client that can be used until the end of the block."""
