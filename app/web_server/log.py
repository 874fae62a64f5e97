"""The log of gunicorn, in the format of all other log lines."""

import logging
import sys
from typing import Any

from gunicorn.glogging import Logger

from app.logs import JsonFormatter


class JsonLogger(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Writes the lines of gunicorn as JSON objects to stdout."""

    def setup(self, cfg: Any) -> None:
        """Replace the handlers of gunicorn."""
        super().setup(cfg)
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonFormatter())
        self.error_log.handlers[:] = [handler]
