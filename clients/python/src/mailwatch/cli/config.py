"""Where the service is, and with which key: environment variables, then the file of ``login``.

The key of the file is only sent to the URL of the file.
"""

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

URL, KEY = "MAILWATCH_URL", "MAILWATCH_API_KEY"


@dataclass(frozen=True, slots=True)
class Login:
    """A service and an API key."""

    url: str
    key: str


class NoLogin(Exception):
    """There is no service or no key; the message says what to do."""


def path() -> Path:
    """Return the file of ``login``."""
    return Path(typer.get_app_dir("mailwatch")) / "config.json"


def current(*, needs_key: bool = True) -> Login:
    """Return the service and the key to use.

    needs_key  if False, the key may be empty
    raises     NoLogin
    """
    stored = _read()
    url = os.environ.get(URL) or (stored.url if stored else "")
    key = os.environ.get(KEY) or (stored.key if stored and stored.url == _clean(url) else "")
    if not url:
        raise NoLogin(f"There is no service: run `mailwatch login`, or set {URL} and {KEY}")
    if needs_key and not key:
        raise NoLogin(f"There is no API key for {url}: run `mailwatch login`, or set {KEY}")
    return Login(_clean(url), key)


def store(login: Login) -> Path:
    """Write the file, which only the user can read, and return its path."""
    file = path()
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp creates files with mode 0600
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=file.name)
    with open(descriptor, "w") as output:
        json.dump(asdict(Login(_clean(login.url), login.key)), output)
    os.replace(name, file)
    return file


def remove() -> bool:
    """Delete the file; return whether there was one."""
    is_stored = path().exists()
    path().unlink(missing_ok=True)
    return is_stored


def _read() -> Login | None:
    try:
        values = json.loads(path().read_text())
        return Login(str(values["url"]), str(values["key"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise NoLogin(f"{path()} cannot be read ({error}): run `mailwatch login` again") from None


def _clean(url: str) -> str:
    return url.strip().rstrip("/")
