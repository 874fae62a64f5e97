"""The routes of compliance profiles: the catalog, and the results of a domain."""

from typing import Any

from flask import Blueprint, Response
from pydantic import Field

from app.analysis.scan.profiles import ClauseResult, ProfileResult, Status
from app.api.http import fields, responses
from app.api.http.auth import current
from app.api.http.endpoint import Body, endpoint
from app.api.v1.profiles import schemas
from app.models.keys import Scope
from app.services.domains import profiles
from app.services.domains.profiles import CatalogItem

bp = Blueprint("profiles", __name__)


class ProfileChange(Body):
    """Whether the account follows the profile."""

    followed: bool = Field(
        strict=True, description="whether an alert opens when a domain loses the profile"
    )


@bp.get("/profiles")
@endpoint(scopes=(Scope.DOMAINS_READ,), returns=schemas.Profile, is_list=True)
def index() -> Response:
    """List compliance profiles and their clauses."""
    data = [_item(item) for item in profiles.catalog(current().account_id)]
    return responses.page(data, fields.NoQuery(), None)


@bp.patch("/profiles/<profile>")
@endpoint(scopes=(Scope.ALERTS_WRITE,), body=ProfileChange, returns=schemas.Profile)
def change(profile: str, body: ProfileChange) -> Response:
    """Follow a compliance profile, or follow it no longer."""
    caller = current()
    item = profiles.set_followed(
        caller.account_id, profile, is_followed=body.followed, actor=caller.actor
    )
    return responses.item(_item(item))


@bp.get("/domains/<domain>/profiles")
@endpoint(scopes=(Scope.DOMAINS_READ,), returns=schemas.ProfileResult, is_list=True)
def results(domain: str) -> Response:
    """List a domain's results of compliance profiles."""
    of_domain = profiles.results(current().account_id, domain)
    return responses.page([_result(result) for result in of_domain.results], fields.NoQuery(), None)


def _item(item: CatalogItem) -> dict[str, Any]:
    return {
        "id": item.profile.id,
        "name": item.profile.name,
        "description": item.profile.description,
        "source": item.profile.source,
        "sourceDate": item.profile.source_date,
        "sourceRead": item.profile.source_read,
        "note": item.profile.note,
        "followed": item.is_followed,
        "clauses": [_clause(clause) for clause in item.profile.clauses],
    }


def _clause(clause: Any) -> dict[str, Any]:
    return {
        "id": clause.id,
        "text": clause.text,
        "source": clause.source,
        "sourceDate": clause.source_date,
        "usages": clause.usages,
        "checks": clause.checks,
        "findings": clause.fails_on,
        "facts": [
            {"fact": condition.name, "expected": condition.expected} for condition in clause.facts
        ],
        "remediation": clause.remediation,
        "notObservableReason": clause.unobservable_reason,
    }


def _result(result: ProfileResult) -> dict[str, Any]:
    return {
        "id": result.profile.id,
        "name": result.profile.name,
        "status": result.status,
        "summary": result.summary,
        "clauses": [_clause_result(part) for part in result.clauses],
    }


def _clause_result(result: ClauseResult) -> dict[str, Any]:
    clause = result.clause
    return {
        "id": clause.id,
        "text": clause.text,
        "source": clause.source,
        "sourceDate": clause.source_date,
        "status": result.status,
        "reason": result.reason,
        "findings": result.findings,
        "facts": [
            {"fact": unmet.fact, "expected": unmet.expected, "observed": unmet.observed}
            for unmet in result.facts
        ],
        "remediation": clause.remediation if result.status is Status.FAIL else None,
    }
