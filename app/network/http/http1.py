"""A reader for HTTP/1.1 responses with a limit on every part (RFC 9112)."""

import asyncio
import re
from asyncio import StreamReader
from collections.abc import Mapping
from dataclasses import dataclass

MAX_HEAD = 16 * 1024
_MAX_INTERIM = 5  # 1xx responses before the final one
_MAX_TRAILER = 20  # lines
_MAX_LINE = 256  # of a chunk size line with extensions

_STATUS_LINE = re.compile(r"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_FIELD = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;.*)?\r\n")


class NotHttp(ValueError):
    """The data is not an HTTP/1.1 response."""


class TooLarge(ValueError):
    """The response exceeds a size limit."""


@dataclass(frozen=True, slots=True)
class Head:
    """The status and headers of a response.

    headers  by name in lower case; repeated values are joined by a comma
    is_last  whether the connection cannot be reused after the response (RFC 9112 §9.3)
    """

    status: int
    headers: Mapping[str, str]
    is_last: bool = True


async def read_head(reader: StreamReader) -> Head:
    """The head of the final response; interim responses (1xx) are skipped.

    raises  NotHttp, TooLarge, EOFError
    """
    for _ in range(_MAX_INTERIM):
        try:
            lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        except asyncio.LimitOverrunError:
            raise TooLarge("The head of the response is too large") from None
        head = _head(lines[0], lines[1:-2])
        if head.status >= 200:
            return head
    raise NotHttp("too many interim responses")


async def read_body(reader: StreamReader, head: Head, limit: int) -> bytes:
    """The body of a response to GET or POST.

    limit   maximum size in bytes
    raises  NotHttp, TooLarge, EOFError (the body is truncated)
    source  RFC 9112 §6.3
    """
    if coding := head.headers.get("transfer-encoding"):
        if coding.lower() != "chunked":
            raise NotHttp("unexpected transfer coding")
        return await _read_chunks(reader, limit)
    if head.status in (204, 304):
        return b""
    if (length := head.headers.get("content-length")) is None:
        return await _read_to_end(reader, limit)
    if not re.fullmatch("[0-9]{1,18}", length):
        raise NotHttp("Content-Length is not a number")
    return await reader.readexactly(_within(int(length), limit))


def _head(first: str, rest: list[str]) -> Head:
    status = _STATUS_LINE.fullmatch(first)
    if not status:
        raise NotHttp("invalid status line")
    headers: dict[str, str] = {}
    for line in rest:
        field = _FIELD.fullmatch(line)
        if not field:
            raise NotHttp("invalid header line")
        name = field[1].lower()
        value = field[2].strip(" \t")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return Head(int(status[2]), headers, _is_last(status[1], int(status[2]), headers))


def _is_last(minor: str, status: int, headers: Mapping[str, str]) -> bool:
    options = {option.strip().lower() for option in headers.get("connection", "").split(",")}
    is_bounded = status in (204, 304) or not headers.keys().isdisjoint(
        ("content-length", "transfer-encoding")
    )
    return minor == "0" or "close" in options or not is_bounded


async def _read_to_end(reader: StreamReader, limit: int) -> bytes:
    body = b""
    while data := await reader.read(limit + 1 - len(body)):
        body += data
        _within(len(body), limit)
    return body


async def _read_chunks(reader: StreamReader, limit: int) -> bytes:
    """The body from its chunks, without reading the trailer (RFC 9112 §7.1)."""
    body = b""
    while size := await _read_size(reader):
        _within(len(body) + size, limit)
        body += await reader.readexactly(size)
        if await reader.readexactly(2) != b"\r\n":
            raise NotHttp("a chunk is longer than its size")
    return body


async def skip_trailer(reader: StreamReader) -> None:
    """Read the trailer after the last chunk, so that the connection can be reused (§7.1.2).

    raises  TooLarge, EOFError
    """
    for _ in range(_MAX_TRAILER):
        try:
            if await reader.readuntil(b"\r\n") == b"\r\n":
                return
        except asyncio.LimitOverrunError:
            break
    raise TooLarge("The trailer of the response is too large")


async def _read_size(reader: StreamReader) -> int:
    try:
        line = await reader.readuntil(b"\r\n")
    except asyncio.LimitOverrunError:
        raise NotHttp("invalid chunk size") from None
    size = _SIZE.fullmatch(line)
    if not size or len(line) > _MAX_LINE:
        raise NotHttp("invalid chunk size")
    return int(size[1], 16)


def _within(size: int, limit: int) -> int:
    if size > limit:
        raise TooLarge("The body of the response is too large")
    return size
