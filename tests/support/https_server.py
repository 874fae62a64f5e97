"""An HTTPS server on loopback, whose certificate is valid for the host names of the test."""

import functools
import ssl
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import trustme


class HttpsServer(ThreadingHTTPServer):
    """A server that runs in threads until the context ends."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 100

    def __init__(self, handler: type[BaseHTTPRequestHandler], *hosts: str) -> None:
        super().__init__(("127.0.0.1", 0), handler)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _certificate(hosts).configure_cert(self._context)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True)

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()
        self._thread.join()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Start TLS in the thread of the connection."""
        try:
            wrapped = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return  # the client has disconnected
        with wrapped:
            super().finish_request(wrapped, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect, as some tests do."""


def write_authority(directory: Path) -> Path:
    """Write the certificate of the authority to a file for SSL_CERT_FILE, and return its path."""
    path = directory / "authority.pem"
    _authority().cert_pem.write_to_path(str(path))
    return path


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA()


@functools.cache
def _certificate(hosts: Sequence[str]) -> trustme.LeafCert:
    return _authority().issue_cert(*hosts)
