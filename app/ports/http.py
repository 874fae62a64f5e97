"""HTTPS: the request, the response and the interface of the client."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True)
class Request:
    """The request to send; Host and framing headers are added to it. Checks only use GET.

    max_response_bytes  read the body of every response, up to this size; by default, only that of
                        a GET with status 200 is read, up to 64 KiB
    ca_certificates     the only trusted authorities (PEM); None for those of this machine
    """

    method: Literal["GET", "PATCH", "POST", "PUT", "DELETE"] = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    port: int | None = None
    max_response_bytes: int | None = None
    ca_certificates: str | None = None

    @property
    def is_page(self) -> bool:
        """Whether this is a single GET for a small page, as checks send it."""
        return self.method == "GET" and self.max_response_bytes is None


@dataclass(frozen=True, slots=True)
class Page:
    """One definite answer to an HTTPS request.

    status          the HTTP status; 0 without a response
    failure         ``None``, or why there is no response: ``tls`` (certificate; see ``detail``),
                    ``redirect``, ``too_large``, ``refused_address`` (not public), ``no_address``
    not_after       expiry of the server's certificate, RFC 3339, if the handshake got that far
    retry_after     the ``Retry-After`` header
    """

    url: str
    status: int = 0
    content_type: str = ""
    body: bytes = b""
    failure: str | None = None
    detail: str = ""
    not_after: str | None = None
    retry_after: str = ""


class HttpClient(Protocol):
    """An HTTPS client that connects to public addresses only and follows no redirects."""

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        """Return the response of ``https://host/path``.

        request  the request to send; by default a GET
        raises   LookupFailed if the host did not answer
        """

    async def refusal(self, host: str) -> str | None:
        """Return the failure (as in ``Page``) with which the client would refuse the host, if any.

        raises   LookupFailed if the addresses of the host could not be looked up
        effects  only DNS queries; no connection is opened
        """
