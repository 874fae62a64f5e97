"""The compliance profiles of this installation: the built-in ones and those of PROFILES_FILE."""

from functools import cache
from pathlib import Path

from app import settings
from app.catalog.profiles import loader
from app.catalog.profiles.loader import InvalidProfiles, Vocabulary
from app.catalog.profiles.types import Profile
from app.checks import CHECKS
from app.checks.engine.types import Usage
from app.settings import InvalidSettings


def available() -> tuple[Profile, ...]:
    """Return the built-in profiles, then those of PROFILES_FILE.

    raises  InvalidSettings if the file is invalid; each process calls this function when it starts
    """
    return load(settings.current().profiles_file)


@cache
def load(path: str | None) -> tuple[Profile, ...]:
    """Return the built-in profiles, then those of the file.

    raises  InvalidSettings, with a line for each error
    """
    vocabulary = Vocabulary(
        codes=frozenset(kind.code for check in CHECKS for kind in check.finds),
        checks=frozenset(check.name for check in CHECKS),
        usages=frozenset(usage.value for usage in Usage),
    )
    builtin = loader.builtin(vocabulary)
    if path is None:
        return builtin
    try:
        own = loader.load(Path(path), vocabulary, [profile.id for profile in builtin])
    except InvalidProfiles as error:
        lines = str(error).splitlines()
        raise InvalidSettings("\n".join(f"PROFILES_FILE: {line}" for line in lines)) from None
    return (*builtin, *own)


def find(profile_id: str) -> Profile | None:
    """Return the profile with this id; None if there is none."""
    return next((profile for profile in available() if profile.id == profile_id), None)
