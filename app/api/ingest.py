"""The routes of an account's public report address.

The address is published in DNS, so reports that arrive there are unverified unless they are
authenticated; an upload token proves that a report comes from the account itself. A file is stored
before it is acknowledged and parsed afterwards, so no response depends on its content.
"""

import re
from collections.abc import Iterator
from typing import Any, Literal

from flask import Blueprint, Response, g, request
from pydantic import Field
from werkzeug.exceptions import RequestEntityTooLarge, UnsupportedMediaType

from app import ids, settings
from app.api.http import ingest_auth, responses
from app.api.http.endpoint import Schema, endpoint
from app.errors import (
    ApplicationError,
    InvalidRequest,
    NotFound,
    Unauthorized,
)
from app.models.stored_json import SenderMetadata
from app.services.ingest import files
from app.services.ingest.files import StoredFile

bp = Blueprint("ingest", __name__, url_prefix="/ingest")

MAX_PARTS = 100
UNKNOWN_ADDRESS = "No account receives reports at this address."
_SNIFFED = 64 * 1024
_GZIP = ("gzip", "x-gzip")
_HEADERS = re.compile(rb"([!-9;-~]+:[^\n]*\n([ \t][^\n]*\n)*){2,}\r?\n\s*\S")


class IngestedFile(Schema):
    """A stored file; ``GET /v1/reports/files`` shows its outcome."""

    id: str = Field(description="The id of the report file.")
    status: Literal["received", "parsed", "duplicate", "conflict", "unattributed", "rejected"] = (
        Field(description="The status of the file: `received` until a worker has processed it.")
    )
    file_name: str | None = Field(
        description="The name of the file in the form; null for a raw body."
    )


class IngestResult(Schema):
    """The files of one request."""

    files: list[IngestedFile] = Field(description="The stored files, in the order of the request.")


@bp.before_request
def _bound() -> None:
    """Refuse requests without a valid address, and limit the size of the others.

    raises  NotFound, the same for every invalid address; Unauthorized
    """
    unresolved: ApplicationError | None = g.get("unresolved")
    if unresolved is not None:
        raise unresolved
    if ingest_auth.sender_or_none() is None:
        raise NotFound(UNKNOWN_ADDRESS)
    if ingest_auth.has_bad_token():
        raise Unauthorized("Invalid upload token")
    _check_content_encoding()
    # One more byte, because a body without a length is truncated at the limit without an error.
    max_bytes = settings.current().ingest_max_bytes + 1
    request.max_content_length = request.max_form_memory_size = max_bytes
    request.max_form_parts = MAX_PARTS


def _check_content_encoding() -> None:
    """Refuse content encodings that a report file cannot have.

    A body with ``Content-Encoding: gzip`` is stored as it is, and so is a gzip file: the worker
    inflates it within its limits.
    """
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding not in ("identity", *_GZIP):
        raise UnsupportedMediaType("Send the file with Content-Encoding gzip, or without one")
    if encoding in _GZIP and request.mimetype == "multipart/form-data":
        raise UnsupportedMediaType("Send a form without Content-Encoding")


@bp.post("/<token>")
@endpoint(
    is_public=True,
    takes_file=("application/octet-stream",),
    takes_form=True,
    token="uploadToken",
    returns=IngestResult,
    status=202,
    also=(200,),
)
def ingest(token: str) -> Response:
    """Send a report file."""
    stored = [_store(raw, name) for name, raw in _files()]
    return _response(stored, 202 if any(file.is_new for file in stored) else 200)


@bp.post("/<token>/tls-rpt")
@endpoint(
    is_public=True,
    takes_file=("application/tlsrpt+gzip", "application/tlsrpt+json", "application/octet-stream"),
    token="uploadToken",
    returns=IngestResult,
    status=201,
    also=(200,),
)
def ingest_tls(token: str) -> Response:
    """Send a TLS report (RFC 8460 §5.4)."""
    stored = _store(_body(), None)
    return _response([stored], 201 if stored.is_new else 200)


def _store(raw: bytes, name: str | None) -> StoredFile:
    sender = ingest_auth.sender_or_none()
    if sender is None:
        raise NotFound(UNKNOWN_ADDRESS)
    claims: SenderMetadata = {"address": request.remote_addr, "content_type": request.content_type}
    uploader = ingest_auth.uploader_or_none()
    if uploader is not None:
        claims["upload_token"] = uploader.token_id
    received_via = "upload" if uploader else "http"
    return files.store(
        sender.account_id, raw, received_via=received_via, file_name=name, sender_metadata=claims
    )


def _body() -> bytes:
    raw = request.get_data()
    if len(raw) > settings.current().ingest_max_bytes:
        raise RequestEntityTooLarge
    if not raw.strip():
        raise InvalidRequest.field("body", "the body is empty", "missing")
    return raw


def _files() -> list[tuple[str | None, bytes]]:
    """Return the parts of a form that may contain a report, or else the whole body."""
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
    """Whether a form field may contain a report; mail services send other fields too."""
    start = content[:_SNIFFED].lstrip()
    if start.startswith(b"<"):
        return b"feedback" in start
    if start.startswith(b"{"):
        return b'"policies"' in start
    return _HEADERS.match(start) is not None and b"\nMIME-Version:" in b"\n" + start


def _response(stored: list[StoredFile], status: int) -> Response:
    data: list[dict[str, Any]] = [
        {
            "id": ids.public("file", item.file.id),
            "status": item.file.status,
            "fileName": item.file.file_name,
        }
        for item in stored
    ]
    return responses.item({"files": data}, status)
