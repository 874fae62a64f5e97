"""Compression of large responses with gzip, for clients that accept it.

A response of the dashboard is never compressed: it has secrets of a session together with text from
outside, whose length would then say something about the secrets. The API needs a key in each
request, which other sites cannot send.
"""

import zlib
from collections.abc import Generator, Iterator
from typing import Any

from flask import Response, request

MIN_BYTES = 4096
GZIP_SUFFIX = "-gzip"  # of the ETag of a compressed response
_LEVEL = 5
_GZIP = 16 + zlib.MAX_WBITS


class _Compressed:
    """A stream in gzip; closing it closes the stream behind it."""

    def __init__(self, chunks: Any) -> None:
        self._chunks = chunks
        self._items = self._compress()

    def __iter__(self) -> Iterator[bytes]:
        return self._items

    def close(self) -> None:
        """End the stream early."""
        self._items.close()
        if hasattr(self._chunks, "close"):
            self._chunks.close()

    def _compress(self) -> Generator[bytes, None, None]:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        for chunk in self._chunks:
            data = chunk.encode() if isinstance(chunk, str) else chunk
            if compressed := compressor.compress(data):
                yield compressed
        yield compressor.flush()


def compressed(response: Response) -> Response:
    """Return the response, compressed if it is large and the client accepts that.

    Nothing is looked up in the headers of a response that stays as it is: every request passes.
    """
    body = response.response
    is_whole = isinstance(body, list)
    if is_whole and (not body or len(body[0]) < MIN_BYTES):  # type: ignore[index]
        return response
    headers = response.headers
    headers.add("Vary", "Accept-Encoding")
    if not _accepts_gzip():
        return response
    if is_whole:
        compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
        response.set_data(compressor.compress(response.get_data()) + compressor.flush())
    else:
        response.response = _Compressed(body)
    headers["Content-Encoding"] = "gzip"
    if etag := headers.get("ETag"):  # another representation needs another tag
        headers["ETag"] = f'{etag[:-1]}{GZIP_SUFFIX}"'
    return response


def _accepts_gzip() -> bool:
    accepted = request.environ.get("HTTP_ACCEPT_ENCODING")
    return accepted is not None and "gzip" in accepted and request.accept_encodings["gzip"] > 0
