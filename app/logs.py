"""Log lines as JSON on stdout, one a line, with the ids of what is being done.

Never a token and never a report's body: what is logged is named in ``extra`` by its caller.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

import orjson

_context: ContextVar[dict[str, Any] | None] = ContextVar("log_context", default=None)
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """One JSON object: time, level, logger, message, the context's and the call's fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **(_context.get() or {}),
            **{name: value for name, value in vars(record).items() if name not in _OWN},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def configure(level: str) -> None:
    """Write everything of this level and above to stdout, and nothing anywhere else.

    level  ``debug``, ``info``, ``warning`` or ``error``
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    # What aiosmtpd is told has the addresses of mails, which have tokens in them.
    for chatty in ("alembic", "rq.worker", "asyncio", "mail.log"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))


@contextmanager
def fields(**named: Any) -> Iterator[None]:
    """All lines of this task or thread carry these fields meanwhile."""
    token = _context.set({**(_context.get() or {}), **named})
    try:
        yield
    finally:
        _context.reset(token)
