"""The version of this release."""

import tomllib
from pathlib import Path

_PROJECT = Path(__file__).parents[3] / "pyproject.toml"
UNKNOWN = "unknown"


def version() -> str:
    """Return the version in pyproject.toml, which ``./dev release`` sets; or UNKNOWN."""
    try:
        with _PROJECT.open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
    except (OSError, KeyError, tomllib.TOMLDecodeError):
        return UNKNOWN


VERSION = version()
