"""``Idempotency-Key``: a repeated POST returns the stored response of the first one."""

import hashlib
import re
from collections.abc import Callable

from flask import Response, g, request

from app.errors import InvalidRequest
from app.services.api_keys import idempotency
from app.services.api_keys.idempotency import Answer, Call

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e][\x20-\x7e]{0,254}")


def once(raw: bytes, do: Callable[[], Response]) -> Response:
    """Return the response of ``do``, or the response of the first request with this key.

    raises   InvalidRequest for an invalid key; IdempotencyMismatch, IdempotencyInProgress
    effects  a successful response is stored for a day; after an error the key can be used again
    """
    if request.method != "POST":
        return do()
    key = request.headers.get(HEADER)
    caller = g.get("caller")
    if key is None or caller is None:
        return do()
    if not _KEY.fullmatch(key):
        message = "must have 1 to 255 printable ASCII characters"
        raise InvalidRequest.field(HEADER, message)
    digest = hashlib.sha256(raw).digest()
    call = Call(
        api_key_id=caller.id, route=f"POST {request.path}"[:300], key=key, request_digest=digest
    )
    if (stored := idempotency.begin(call)) is not None:
        return _replayed(stored)
    is_done = False
    try:
        response = do()
        is_done = response.status_code < 400
    finally:
        if not is_done:
            idempotency.abandon(call)
    location = response.headers.get("Location")
    idempotency.finish(call, Answer(response.status_code, response.get_data(), location))
    return response


def _replayed(stored: Answer) -> Response:
    response = Response(stored.body, stored.status, content_type="application/json")
    response.headers["Idempotent-Replayed"] = "true"
    if stored.location:
        response.headers["Location"] = stored.location
    return response
