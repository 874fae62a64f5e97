"""The compliance profiles of a domain: their results by its last check results."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.analysis.scan import profiles as evaluation
from app.analysis.scan.profiles import DomainResults, ProfileResult
from app.catalog.profiles.types import Profile
from app.checks.engine.types import Usage
from app.db.transactions import transaction
from app.models import Domain, DomainState
from app.services.core import domain_lookup, profiles
from app.services.scans import serialization


@dataclass(frozen=True, slots=True)
class DomainProfiles:
    """A domain, and the result of each profile."""

    domain: Domain
    results: Sequence[ProfileResult]


def catalog() -> Sequence[Profile]:
    """Return the profiles of this installation, the built-in ones first."""
    return profiles.available()


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
