"""Finds the end of a chunked body as its bytes arrive (RFC 9112 §7.1)."""

_CRLF = b"\r\n"
MAX_LINE_BYTES = 16 * 1024
MAX_TRAILER_BYTES = 64 * 1024


class ChunkScanner:
    """Follows the framing of a chunked body and ignores its content.

    gunicorn's reader decodes the body afterwards, and it alone decides where the next request
    starts. A malformed body counts as ended, so that gunicorn's reader refuses it.
    """

    def __init__(self) -> None:
        self.is_ended = False
        self._line = bytearray()
        self._skip = 0  # remaining bytes of the current chunk
        self._is_after_chunk = False
        self._in_trailer = False
        self._trailer_bytes = 0

    def feed(self, data: bytes) -> bool:
        """Process these bytes, up to the end of the body; returns whether it has ended."""
        position = 0
        while position < len(data) and not self.is_ended:
            if self._skip:
                step = min(self._skip, len(data) - position)
                self._skip -= step
                position += step
                continue
            if self._is_after_chunk:
                position = self._take_terminator(data, position)
                continue
            end = data.find(b"\n", position)
            stop = end + 1 if end >= 0 else len(data)
            self._line += data[position:stop]
            position = stop
            if end >= 0:
                self._take_line()
            elif len(self._line) > MAX_LINE_BYTES:
                self.is_ended = True
        return self.is_ended

    def _take_terminator(self, data: bytes, position: int) -> int:
        """Take the CRLF after a chunk, and return the position behind it."""
        stop = min(len(data), position + len(_CRLF) - len(self._line))
        self._line += data[position:stop]
        if len(self._line) == len(_CRLF):
            self._is_after_chunk, self.is_ended = False, self._line != _CRLF
            self._line.clear()
        return stop

    def _take_line(self) -> None:
        line = bytes(self._line)
        self._line.clear()
        if self._in_trailer:
            self._trailer_bytes += len(line)
            self.is_ended = line in (b"\r\n", b"\n") or self._trailer_bytes > MAX_TRAILER_BYTES
            return
        digits = line.partition(b";")[0].strip()
        if not digits or len(digits) > 16 or digits.strip(b"0123456789abcdefABCDEF"):
            self.is_ended = True
        elif size := int(digits, 16):
            self._skip, self._is_after_chunk = size, True
        else:
            self._in_trailer = True
