"""The compliance profiles of this installation: the built-in ones and those of PROFILES_FILE."""

from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import settings
from app.analysis.scan import profile_history
from app.analysis.scan import profiles as evaluation
from app.analysis.scan.profile_history import ProfileState
from app.analysis.scan.profiles import DomainResults
from app.catalog.profiles import loader
from app.catalog.profiles.loader import InvalidProfiles, Vocabulary
from app.catalog.profiles.types import Profile
from app.checks import CHECKS
from app.checks.engine.types import Usage
from app.models import Account
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


def state(
    known: DomainResults, words: Collection[str], followed_ids: Collection[str]
) -> ProfileState:
    """Return the state of a domain's profiles after a scan, with details of the followed ones.

    words  those of the state before the scan
    """
    statuses = {profile.id: evaluation.status_of(profile, known) for profile in available()}
    profiles = [profile for profile in available() if profile.id in followed_ids]
    return profile_history.advance(statuses, words, evaluation.evaluate(profiles, known))


def followed(session: Session, account_ids: Collection[UUID]) -> Mapping[UUID, Collection[str]]:
    """Return the ids of the profiles that each account follows; in the caller's transaction."""
    rows = session.execute(
        select(Account.id, Account.followed_profiles).where(Account.id.in_(account_ids))
    ).all()
    return {row.id: row.followed_profiles for row in rows}
