"""Where reports are posted to: an address that holds a token instead of a key.

What comes is kept before it is answered, and read after: no answer says what is in a file.
"""

import re
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Flask, Response, g, request
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app import ids, settings
from app.api import answers
from app.api.contract import Shape, endpoint
from app.errors import ApplicationError, InvalidRequest, NotFound, ServiceUnavailable
from app.services import ingest_tokens, intakes
from app.services.ingest_tokens import Sender
from app.services.intakes import Taken

bp = Blueprint("ingest", __name__, url_prefix="/ingest")

MAX_PARTS = 100
_SNIFFED = 64 * 1024
_HEADERS = re.compile(rb"([!-9;-~]+:[^\n]*\n([ \t][^\n]*\n)*){2,}\r?\n\s*\S")


class TakenShape(Shape):
    """A file that is kept; ``GET /v1/reports/intake`` tells what becomes of it."""

    id: str
    state: str
    file_name: str | None


class IngestShape(Shape):
    """The files of one request."""

    intakes: list[TakenShape]


def init_app(app: Flask) -> None:
    """Resolve the token of every request; must be registered before the limiter."""
    app.before_request(identify)


def identify() -> None:
    """Set ``g.sender`` to whose address was called, or None. It refuses nobody yet."""
    if request.blueprint != "ingest":
        return
    try:
        g.sender = ingest_tokens.resolve(str((request.view_args or {}).get("token")))
    except ServiceUnavailable as error:
        g.unresolved = error


def sender_or_none() -> Sender | None:
    """Whose address was called, if it is anybody's; for the hooks."""
    sender: Sender | None = g.get("sender")
    return sender


@bp.before_request
def _bound() -> None:
    """Refuse who has no token, and bound what will be read of the others' bodies.

    raises  NotFound, the same for every token that is not good
    """
    unresolved: ApplicationError | None = g.get("unresolved")
    if unresolved is not None:
        raise unresolved
    if sender_or_none() is None:
        raise NotFound
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMediaType("Send the file as it is, without Content-Encoding")
    # One more: a body without a length is cut at the bound, and that must not go unseen.
    most = settings.current().ingest_max_bytes + 1
    request.max_content_length = request.max_form_memory_size = most
    request.max_form_parts = MAX_PARTS


@bp.post("/<token>")
@endpoint(is_public=True, takes_file=True, returns=IngestShape, status=202, also=(200,))
def take_in(token: str) -> Response:
    """Send a report: a mail, XML, JSON, gzip or zip file, or a form that holds some."""
    taken = [_take(raw, name) for name, raw in _files()]
    return _answer(taken, 202 if any(one.is_new for one in taken) else 200)


@bp.post("/<token>/tls-rpt")
@endpoint(is_public=True, takes_file=True, returns=IngestShape, status=201, also=(200,))
def take_in_tls(token: str) -> Response:
    """Send a TLS report, as RFC 8460 §5.4 has it."""
    taken = _take(_body(), None)
    return _answer([taken], 201 if taken.is_new else 200)


def _take(raw: bytes, name: str | None) -> Taken:
    sender = sender_or_none()
    assert sender is not None  # or _bound has refused
    claims = {"address": request.remote_addr, "content_type": request.content_type}
    return intakes.take_in(sender.account_id, raw, way="http", file_name=name, claims=claims)


def _body() -> bytes:
    raw = request.get_data()
    if len(raw) > settings.current().ingest_max_bytes:
        raise RequestEntityTooLarge
    if not raw.strip():
        complaint = {"field": "body", "code": "missing", "message": "there is nothing in it"}
        raise InvalidRequest([complaint])
    return raw


def _files() -> list[tuple[str | None, bytes]]:
    """What counts of the request: the parts of a form that may hold a report, else its body."""
    raw = _body()
    if request.mimetype != "multipart/form-data":
        return [(None, raw)]
    return list(_parts()) or [(None, raw)]


def _parts() -> Iterator[tuple[str | None, bytes]]:
    for _, file in request.files.items(multi=True):
        if content := file.read():
            yield file.filename or None, content
    for _, text in request.form.items(multi=True):
        content = text.encode()
        if is_report(content):
            yield None, content


def is_report(content: bytes) -> bool:
    """Whether a field of a form may hold a report: those of mail services hold other things too."""
    start = content[:_SNIFFED].lstrip()
    if start.startswith(b"<"):
        return b"feedback" in start
    if start.startswith(b"{"):
        return b'"policies"' in start
    return _HEADERS.match(start) is not None and b"\nMIME-Version:" in b"\n" + start


def _answer(taken: list[Taken], status: int) -> Response:
    found: list[dict[str, Any]] = [
        {
            "id": ids.public("int", one.intake.id),
            "state": one.intake.state,
            "fileName": one.intake.file_name,
        }
        for one in taken
    ]
    return answers.one({"intakes": found}, status)
