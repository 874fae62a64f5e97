"""The compliance profiles of a domain: their results by its last check results."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.orm import Session

from app import ids
from app.analysis.scan import profiles as evaluation
from app.analysis.scan.profiles import DomainResults, ProfileResult
from app.catalog.profiles.types import Profile
from app.checks.engine.types import Usage
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, Domain, DomainState
from app.services.audit import audit_log
from app.services.core import domain_lookup, profiles
from app.services.scans import serialization


@dataclass(frozen=True, slots=True)
class DomainProfiles:
    """A domain, and the result of each profile."""

    domain: Domain
    results: Sequence[ProfileResult]


@dataclass(frozen=True, slots=True)
class CatalogItem:
    """A profile, and whether the account follows it."""

    profile: Profile
    is_followed: bool


def catalog(account_id: UUID) -> Sequence[CatalogItem]:
    """Return the profiles of this installation, the built-in ones first."""
    with transaction(readonly=True) as session:
        followed = profiles.followed(session, [account_id]).get(account_id, ())
    return [CatalogItem(profile, profile.id in followed) for profile in profiles.available()]


def follow(account_id: UUID, profile_ids: Sequence[str], *, actor: str) -> None:
    """Follow these profiles, and no others: an alert opens when a domain loses one of them.

    raises  InvalidRequest for an unknown profile
    """
    known = [profile.id for profile in profiles.available()]
    for profile_id in profile_ids:
        if profile_id not in known:
            raise InvalidRequest.field("profile", f"unknown profile {profile_id[:50]!r}")
    selected = [profile_id for profile_id in known if profile_id in profile_ids]
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        _select(session, account, selected, actor)


def set_followed(
    account_id: UUID, profile_id: str, *, is_followed: bool, actor: str
) -> CatalogItem:
    """Follow one profile, or follow it no longer; the others stay as they are.

    raises  NotFound
    """
    available = {profile.id: profile for profile in profiles.available()}
    if profile_id not in available:
        raise NotFound(
            f"Profile {profile_id[:50]!r} was not found. GET /v1/profiles lists all profiles."
        )
    with transaction() as session:
        account = session.get_one(Account, account_id, with_for_update=True)
        followed = {*account.followed_profiles, profile_id}
        if not is_followed:
            followed.discard(profile_id)
        if followed != set(account.followed_profiles):
            selected = [known for known in available if known in followed]
            _select(session, account, selected, actor)
    return CatalogItem(available[profile_id], is_followed)


def _select(session: Session, account: Account, selected: list[str], actor: str) -> None:
    before, account.followed_profiles = account.followed_profiles, selected
    audit_log.record(
        session,
        account.id,
        actor=actor,
        action="account.profiles_followed",
        target=ids.public("acc", account.id),
        before=before,
        after=selected,
    )


def results(account_id: UUID, ref: str) -> DomainProfiles:
    """Return the results of all profiles; without a scan, every clause is undetermined.

    returns  findings have their documentation, as in the API
    raises   NotFound
    """
    with transaction(readonly=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        state = session.get(DomainState, domain.id)
    last_results = state.last_results if state else {}
    undetermined = state.undetermined if state else {}
    known = DomainResults(
        {name: serialization.with_documentation(check) for name, check in last_results.items()},
        undetermined,
        Usage(domain.usage),
    )
    return DomainProfiles(domain, evaluation.evaluate(profiles.available(), known))
