"""The Flask application of this service."""

from collections.abc import Callable
from typing import Any

from flask import Flask


class Application(Flask):
    """An application without coroutines.

    Flask inspects every hook in every request for whether it is a coroutine, and calls this method
    to run it. No hook and no view of this service is one.
    """

    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function unchanged."""
        return func
