"""The domain routes: list, add, get, change, delete and verify."""

from collections.abc import Callable, Mapping
from typing import Any, Literal
from uuid import UUID

from flask import Blueprint, Response, current_app, url_for
from pydantic import Field

from app import ids
from app.api.http import fields, lists, responses
from app.api.http.auth import current
from app.api.http.endpoint import Body, Query, endpoint
from app.api.http.lists import SerializedRowCache
from app.api.v1 import exports
from app.api.v1.domains import schemas
from app.api.v1.exports import Exportable, Table
from app.checks.engine.types import Severity, Usage
from app.errors import ApplicationError
from app.models.keys import Scope
from app.protocols import names
from app.services.domain_status import domain_list
from app.services.domain_status.domain_list import DomainFilter
from app.services.domains import domains, verification
from app.services.domains.domains import NewDomain

bp = Blueprint("domains", __name__, url_prefix="/domains")


class DomainQuery(Exportable):
    """Filters and order of the list of domains."""

    q: fields.Text | None = Field(default=None, description="part of the name")
    tag: fields.Tag | None = None
    grade: fields.Grade | None = None
    verified: bool | None = None
    usage: Usage | None = None
    profile: fields.Text | None = Field(
        default=None, description="id of a compliance profile, with profileResult"
    )
    profile_result: Literal["pass", "fail", "undetermined"] | None = Field(
        default=None, description="result of the profile in the last scan"
    )
    sort: Literal["name", "-score", "-createdAt"] = "-createdAt"
    include: Literal["openAlerts"] | None = None


class NewDomainBody(Body):
    """A domain to add."""

    name: fields.Name
    usage: Usage = Usage.BOTH
    tags: fields.Tags = Field(default_factory=list)
    dkim_selectors: fields.Selectors = Field(default_factory=list)
    schedule: fields.Schedule = "daily"

    @property
    def new(self) -> NewDomain:
        """The domain as a value of the service."""
        return NewDomain(
            name=self.name,
            usage=self.usage,
            tags=self.tags,
            dkim_selectors=self.dkim_selectors,
            schedule=self.schedule,
        )


class NewDomainsBody(Body):
    """Domains to add."""

    domains: list[NewDomainBody] = Field(min_length=1, max_length=500)


class DomainChanges(Body):
    """A change of the settings of a domain. Omitted fields stay unchanged."""

    usage: Usage | None = None
    tags: fields.Tags | None = None
    dkim_selectors: fields.Selectors | None = None
    schedule: fields.Schedule | None = None


class ShowQuery(Query):
    """What to include; it is always included."""

    include: (
        Literal["lastScan", "openAlerts", "lastScan,openAlerts", "openAlerts,lastScan"] | None
    ) = None


@bp.get("")
@endpoint(
    scopes=(Scope.DOMAINS_READ,),
    query=DomainQuery,
    returns=schemas.Domain,
    is_list=True,
    exports=True,
)
def index(query: DomainQuery) -> Response:
    """List domains."""
    account, has_alerts = current().account_id, query.include is not None
    filters = lists.filters(query, DomainFilter)
    listing = domain_list.listing(account, filters, has_open_alerts=has_alerts)
    if has_alerts:
        return exports.answer(
            listing, query, _table(lambda pair: schema(pair[0], account, pair[1]))
        )
    table = _table(lambda row: schema(row, account))
    return exports.answer(listing, query, table, lambda row: _row_cache(row, account))


def _table(serialize: Callable[[Any], Any]) -> Table:
    return Table("domains", schemas.Domain, serialize)


@bp.post("")
@endpoint(
    scopes=(Scope.DOMAINS_WRITE,),
    body=NewDomainBody,
    returns=schemas.Domain,
    status=201,
    has_location=True,
    errors=(409,),
)
def create(body: NewDomainBody) -> Response:
    """Add a domain."""
    caller = current()
    domain = domains.create(caller.account_id, body.new, actor=caller.actor)
    return responses.item(
        schema(domain, caller.account_id, {}),
        201,
        location=url_for(".show", domain=ids.public("dom", domain.id)),
        version=domain.updated_at,
    )


@bp.post("/batch")
@endpoint(scopes=(Scope.DOMAINS_WRITE,), body=NewDomainsBody, returns=schemas.DomainsAdded)
def create_many(body: NewDomainsBody) -> Response:
    """Add up to 500 domains."""
    caller = current()
    news = [item.new for item in body.domains]
    added = domains.create_many(caller.account_id, news, actor=caller.actor)
    results = [
        {
            "name": item.name,
            "status": "created" if item.id else "rejected",
            "id": ids.public("dom", item.id) if item.id else None,
            "error": problem(item.error),
        }
        for item in added.results
    ]
    return responses.item(
        {
            "accepted": added.created_count,
            "rejected": added.rejected_count,
            "results": results,
        }
    )


@bp.get("/<domain>")
@endpoint(scopes=(Scope.DOMAINS_READ,), query=ShowQuery, returns=schemas.Domain)
def show(domain: str, query: ShowQuery) -> Response:
    """Get a domain."""
    return _item(current().account_id, domain)


@bp.patch("/<domain>")
@endpoint(scopes=(Scope.DOMAINS_WRITE,), body=DomainChanges, returns=schemas.Domain, errors=(412,))
def change(domain: str, body: DomainChanges) -> Response:
    """Update the settings of a domain."""
    caller = current()
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    changes = {name: value for name, value in changes.items() if value is not None}
    domains.update(
        caller.account_id,
        domain,
        changes,
        actor=caller.actor,
        expected=responses.expected_version(),
    )
    return _item(caller.account_id, domain)


@bp.delete("/<domain>")
@endpoint(scopes=(Scope.DOMAINS_WRITE,), status=204, errors=(409,))
def delete(domain: str) -> Response:
    """Delete a domain and all its data."""
    caller = current()
    domains.delete(caller.account_id, domain, actor=caller.actor)
    return responses.no_content()


@bp.post("/<domain>/verify")
@endpoint(scopes=(Scope.DOMAINS_WRITE,), returns=schemas.Domain, errors=(409,))
def verify(domain: str) -> Response:
    """Verify the ownership of a domain."""
    caller = current()
    network = current_app.extensions["network"]
    verification.verify(caller.account_id, domain, network, actor=caller.actor)
    return _item(caller.account_id, domain)


def _item(account: UUID, domain: str) -> Response:
    row, open_alerts = domain_list.find(account, domain)
    return responses.item(schema(row, account, open_alerts), version=row.updated_at)


def schema(row: Any, account: UUID, open_alerts: Mapping[str, int] | None = None) -> Any:
    """Return a domain, or a row of ``domain_list.COLUMNS``, as JSON."""
    name = row.name
    last_scan = row.last_scan_id and {
        "id": ids.public("scan", row.last_scan_id),
        "status": row.last_scan_status,
        "finishedAt": responses.time(row.last_scan_finished_at),
    }
    return {
        "id": ids.public("dom", row.id),
        "name": name,
        "unicodeName": names.unicode_name(name),
        "hasMixedScripts": names.has_mixed_scripts(name),
        "usage": row.usage,
        "tags": row.tags,
        "dkimSelectors": row.dkim_selectors,
        "schedule": row.schedule,
        "verification": verification.as_json(account, name, row.verified_at),
        "score": {"value": row.score, "grade": row.grade, "version": row.score_version},
        "lastScan": last_scan or None,
        "openAlerts": None if open_alerts is None else _severities(open_alerts),
        "createdAt": responses.time(row.created_at),
        "updatedAt": responses.time(row.updated_at),
    }


_row_cache = SerializedRowCache(schema)


def _severities(counts: Mapping[str, int]) -> dict[str, int]:
    """Return the counts of all five severities, including zeros."""
    return {severity.value: counts.get(severity, 0) for severity in Severity}


def problem(error: ApplicationError | None) -> dict[str, Any] | None:
    """Return the error of one item of a batch as JSON, as in the error envelope."""
    if error is None:
        return None
    return {"code": error.code, "message": error.message, "status": error.status, **error.extra}
