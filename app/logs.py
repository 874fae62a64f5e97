"""Structured logging: one JSON object per line on stdout, with the ids of the current work.

Tokens and report bodies are never logged: callers name each logged field in ``extra``.
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
    """Formats a record as one JSON object: time, level, logger, message, context, extra fields."""

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
    """Log everything of this level and above to stdout, and nowhere else.

    level  ``debug``, ``info``, ``warning`` or ``error``
    """
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    logging.root.handlers[:] = [handler]
    logging.root.setLevel(level.upper())
    # The log of aiosmtpd contains recipient addresses, which contain tokens.
    for chatty in ("alembic", "rq.worker", "asyncio", "mail.log"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, logging.root.level))


def move_to_stderr() -> None:
    """Log to stderr from now on, for a command with data on stdout."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stdout:
            handler.setStream(sys.stderr)


@contextmanager
def fields(**named: Any) -> Iterator[None]:
    """Add these fields to all log lines of this task or thread within the block."""
    token = _context.set({**(_context.get() or {}), **named})
    try:
        yield
    finally:
        _context.reset(token)
