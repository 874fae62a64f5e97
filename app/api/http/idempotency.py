"""``Idempotency-Key``: a POST that is sent again is not done again."""

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
    """The answer of ``do``, or the one that the first call with this key got.

    raises  InvalidRequest for a bad key; IdempotencyMismatch, IdempotencyInProgress
    effects an answer of success is kept for a day; after a refusal or failure it may be tried again
    """
    if request.method != "POST":
        return do()
    key = request.headers.get(HEADER)
    caller = g.get("caller")
    if key is None or caller is None:
        return do()
    if not _KEY.fullmatch(key):
        message = "1 to 255 printable ASCII characters"
        raise InvalidRequest.field(HEADER, message)
    digest = hashlib.sha256(raw).digest()
    call = Call(caller.id, f"POST {request.path}"[:300], key, digest)
    if (known := idempotency.begin(call)) is not None:
        return _replayed(known)
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


def _replayed(known: Answer) -> Response:
    response = Response(known.body, known.status, content_type="application/json")
    response.headers["Idempotent-Replayed"] = "true"
    if known.location:
        response.headers["Location"] = known.location
    return response
