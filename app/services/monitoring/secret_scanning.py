"""Signatures of a secret scanning service, verified with the keys that the service publishes.

The scheme is GitHub's: ECDSA on P-256 with SHA-256 over the raw body.
"""

import base64
import binascii
import threading
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import orjson
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from app.errors import InvalidRequest, ServiceUnavailable
from app.ports.dns import LookupFailed
from app.ports.http import Page, Request
from app.ports.network import Network, SessionFactory

CACHE_SECONDS = 1800.0
RETRY_SECONDS = 60.0  # between two fetches, also for an unknown key: the service rotates its keys
MAX_KEYS = 100

Keys = Mapping[str, ec.EllipticCurvePublicKey]


class PublicKeys:
    """The keys of one service, fetched when they are needed and cached for CACHE_SECONDS."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._keys: Keys = {}
        self._fetched_at = self._tried_at = -CACHE_SECONDS

    def verify(self, raw: bytes, key_id: str, signature: str, network: Network) -> None:
        """Check that the body was signed with the published key of this id.

        raises  InvalidRequest if it was not; ServiceUnavailable if the keys cannot be fetched
        """
        key = self._find(key_id, network)
        if key is None:
            raise InvalidRequest.field("Github-Public-Key-Identifier", "not a key of the service")
        try:
            decoded = base64.b64decode(signature, validate=True)
            key.verify(decoded, raw, ec.ECDSA(hashes.SHA256()))
        except (binascii.Error, InvalidSignature, ValueError):
            message = "not a signature of this body"
            raise InvalidRequest.field("Github-Public-Key-Signature", message) from None

    def _find(self, key_id: str, network: Network) -> ec.EllipticCurvePublicKey | None:
        key = self._current().get(key_id)
        if key is None and self._is_due() and self._lock.acquire(blocking=False):
            try:
                self._tried_at = time.monotonic()
                self._keys = _fetch(self._url, network)
                self._fetched_at = time.monotonic()
            finally:
                self._lock.release()
        elif key is None and not self._current():
            raise ServiceUnavailable("The keys of the secret scanning service are not available")
        return key or self._current().get(key_id)

    def _current(self) -> Keys:
        is_fresh = time.monotonic() - self._fetched_at < CACHE_SECONDS
        return self._keys if is_fresh else {}

    def _is_due(self) -> bool:
        return time.monotonic() - self._tried_at >= RETRY_SECONDS


def _fetch(url: str, network: Network) -> Keys:
    parts = urlsplit(url)
    query = f"?{parts.query}" if parts.query else ""
    request = Request(headers={"Accept": "application/json"}, port=parts.port)

    async def fetch(new_session: SessionFactory) -> Page:
        return await new_session().fetch(parts.hostname or "", parts.path + query, request)

    try:
        page = network.run(fetch)
    except LookupFailed as error:
        raise ServiceUnavailable(f"The public keys cannot be fetched: {error.reason}") from None
    if page.failure or page.status != 200:
        reason = page.failure or f"status {page.status}"
        raise ServiceUnavailable(f"The public keys cannot be fetched: {reason}")
    return parse_keys(page.body)


def parse_keys(body: bytes) -> Keys:
    """Return the P-256 keys by identifier in ``{"public_keys": [{"key_identifier", "key"}]}``.

    raises  ServiceUnavailable for any other document
    """
    try:
        entries: list[Any] = orjson.loads(body)["public_keys"][:MAX_KEYS]
        pairs = {str(e["key_identifier"]): str(e["key"]).encode() for e in entries}
        loaded = {name: serialization.load_pem_public_key(pem) for name, pem in pairs.items()}
    except (ValueError, LookupError, TypeError, UnsupportedAlgorithm):
        raise ServiceUnavailable("The public keys cannot be read") from None
    return {
        name: key
        for name, key in loaded.items()
        if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
    }
