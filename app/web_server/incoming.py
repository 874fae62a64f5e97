"""An incoming request: gunicorn parses its head once it is complete, and then its body."""

import re
import tempfile
from typing import Any

from gunicorn import http
from gunicorn.http.errors import LimitRequestHeaders, NoMoreData

from app.web_server.chunks import ChunkScanner
from app.web_server.limits import (
    MAX_HEAD_BYTES,
    MEMORY_BYTES,
    READ_BYTES,
    BufferFull,
    WorkerContext,
)

# The head is complete, or has a line that ends with LF alone, which gunicorn's parser refuses.
_HEAD_END = re.compile(rb"\r\n\r\n|[^\r]\n")


class Incoming:
    """The bytes of one request, and gunicorn's view of it.

    request       gunicorn's request once its head is complete, else None
    is_complete   the application can answer it
    is_truncated  the body is longer than the limit and was not read, so the connection must close
    decoded       the content of a chunked body, after ``decode_chunks``
    """

    def __init__(self, context: WorkerContext, address: Any) -> None:
        self.request: Any = None
        self.is_complete = False
        self.is_truncated = False
        self.body_bytes = self._decoded_bytes = 0
        self._context, self._address = context, address
        self._head = bytearray()
        self._position = 0
        self._parser: Any = None
        self._length = 0
        self._chunks: ChunkScanner | None = None
        self._body: Any = None
        self.decoded: Any = None

    @property
    def has_started(self) -> bool:
        """Whether the client has sent any byte of the request."""
        return bool(self._head)

    @property
    def wants_continue(self) -> bool:
        """Whether the client waits for "100 Continue" before it sends the body."""
        if self.request is None or self.is_complete or self.body_bytes:
            return False
        return any(name == "EXPECT" for name, _ in self.request.headers)

    def feed(self, data: bytes) -> None:
        """Add bytes that the client has sent.

        raises  an error of gunicorn's parser for a bad head; BufferFull
        """
        if self.request is not None:
            self._add_body(data)
            return
        start = max(0, len(self._head) - 3)
        self._head += data
        if _HEAD_END.search(self._head, start) or len(self._head) > MAX_HEAD_BYTES:
            self._parse_head()

    def recv(self, size: int) -> bytes:
        """Return the next bytes for gunicorn's parser; ``b""`` after all that have arrived."""
        if self._body is not None:
            return self._body.read(size)  # type: ignore[no-any-return]
        data = bytes(self._head[self._position : self._position + size])
        self._position += len(data)
        return data

    def decode_chunks(self) -> None:
        """Decode a chunked body before the application sees it.

        raises  an error of gunicorn's parser if it is malformed; BufferFull
        """
        if self._chunks is None or self.is_truncated:
            return
        self.decoded = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # see close()
        while data := self.request.body.read(READ_BYTES):
            if not self._context.budget.reserve(len(data)):
                raise BufferFull
            self._decoded_bytes += len(data)
            self.decoded.write(data)
        self.decoded.seek(0)

    def skip_body(self) -> None:
        """Skip the part of the body that the application has not read, but that has arrived."""
        if self._body is not None and not self.is_truncated:
            self._parser.finish_body()

    def rest(self) -> bytes | None:
        """Return the bytes that follow this request on the connection; None if they are unknown.

        ``skip_body`` was called before.
        """
        if self.is_truncated:
            return None
        if self._body is None:
            return self._parser.unreader.take_buffered()  # type: ignore[no-any-return]
        if not self._parser.finish_body(max_bytes=MEMORY_BYTES):
            return None
        return self._parser.unreader.take_buffered() + self._body.read()  # type: ignore[no-any-return]

    def close(self) -> None:
        """Release the buffer."""
        if self._body is not None:
            self._body.close()
            self._context.budget.release(self.body_bytes)
            self._body, self.body_bytes = None, 0
        if self.decoded is not None:
            self.decoded.close()
            self._context.budget.release(self._decoded_bytes)
            self.decoded, self._decoded_bytes = None, 0

    def _parse_head(self) -> None:
        self._position = 0
        self._parser = http.get_parser(self._context.cfg, self, self._address)
        try:
            request = next(self._parser)
        except NoMoreData:
            if len(self._head) > MAX_HEAD_BYTES:
                raise LimitRequestHeaders("limit request headers size") from None
            return
        surplus = self._parser.unreader.take_buffered() + bytes(self._head[self._position :])
        self.request = request
        self._read_framing()
        if self._chunks or self._length:
            self._start_body(surplus)
        else:
            self._parser.unreader.unread(surplus)
            self.is_complete = True

    def _read_framing(self) -> None:
        for name, value in self.request.headers:  # which gunicorn has validated
            if name == "CONTENT-LENGTH":
                self._length = int(value)
            elif name == "TRANSFER-ENCODING":
                self._chunks = ChunkScanner()

    def _start_body(self, data: bytes) -> None:
        self._body = tempfile.SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # see close()
        if self._length > self._context.limits.max_body_bytes:
            self._end_body(is_truncated=True)
        else:
            self._add_body(data)

    def _add_body(self, data: bytes) -> None:
        if not self._context.budget.reserve(len(data)):
            raise BufferFull
        self._body.write(data)
        self.body_bytes += len(data)
        if self._chunks.feed(data) if self._chunks else self.body_bytes >= self._length:
            self._end_body()
        elif self.body_bytes > self._context.limits.max_body_bytes + READ_BYTES:
            self._end_body(is_truncated=True)

    def _end_body(self, *, is_truncated: bool = False) -> None:
        self._body.seek(0)
        self.is_complete = True
        self.is_truncated = is_truncated
