"""The commands of ``./dev``: the environment, the embedded servers and a local service.

Only the standard library is used, because these modules run before any package is installed.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class CommandError(Exception):
    """The reason why a command cannot continue, and what to do about it, as text for people."""
