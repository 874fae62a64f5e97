"""What is known of a domain's DNS, what changed in it, and what SPF makes of an address."""

from dataclasses import asdict

from flask import Blueprint, Response, current_app
from pydantic import Field
from pydantic.alias_generators import to_camel

from app import ids
from app.api.http import fields, responses, slots
from app.api.http.auth import current
from app.api.http.endpoint import Body, endpoint
from app.api.v1 import schemas
from app.models.keys import Scope
from app.services.domains import dns_status, draft_evaluation
from app.services.domains.dns_status import ChangeFilter
from app.services.domains.draft_evaluation import SpfSender

bp = Blueprint("dns", __name__, url_prefix="/domains/<domain>")


class HistoryQuery(fields.PeriodQuery):
    """Which changes."""

    check: fields.Text | None = None


class Sender(Body):
    """Mail whose SPF result is evaluated."""

    ip: fields.Text
    mail_from: fields.Text | None = Field(default=None, description="postmaster@ the domain")
    helo: fields.Text | None = None


@bp.get("/dns")
@endpoint(scopes=(Scope.DOMAINS_READ,), returns=schemas.DnsStatus)
def status(domain: str) -> Response:
    """Get a domain's latest results."""
    found, state = dns_status.status(current().account_id, domain)
    known = state.last_results if state else {}
    unseen = dict(state.undetermined) if state else {}
    return responses.item(
        {
            "domainId": ids.public("dom", found.id),
            "domainName": found.name,
            "updatedAt": responses.time(state.updated_at) if state else None,
            "score": (state.score or None) if state else None,
            "checks": [
                {**check, "undeterminedReason": unseen.get(name)} for name, check in known.items()
            ],
            "undeterminedChecks": {name: why for name, why in unseen.items() if name not in known},
        }
    )


@bp.get("/dns/history")
@endpoint(scopes=(Scope.DOMAINS_READ,), query=HistoryQuery, returns=schemas.DnsChange, is_list=True)
def history(domain: str, query: HistoryQuery) -> Response:
    """List DNS changes."""
    filters = ChangeFilter(query.check, query.from_at, query.to_at)
    rows, place = dns_status.history(
        current().account_id,
        domain,
        filters,
        place=responses.cursor_values(query),
        limit=query.limit,
    )
    changes = [
        {
            "id": ids.public("evt", row.id),
            "at": responses.time(row.at),
            "check": row.check,
            "name": row.name,
            "type": row.type,
            "before": row.before,
            "after": row.after,
            "findingsAppeared": row.findings_appeared,
            "findingsResolved": row.findings_resolved,
            "scanId": ids.public("scan", row.scan_id),
        }
        for row in rows
    ]
    return responses.page(changes, query, place)


@bp.post("/spf/evaluate")
@endpoint(scopes=(Scope.DOMAINS_READ,), body=Sender, returns=schemas.SpfResult)
def evaluate_spf(domain: str, body: Sender) -> Response:
    """Evaluate a domain's SPF for an address."""
    with slots.evaluation():
        sender = SpfSender(ip=body.ip, mail_from=body.mail_from, helo=body.helo)
        evaluation = draft_evaluation.evaluate_spf(
            current().account_id, domain, sender, current_app.extensions["network"]
        )
    return responses.item({to_camel(name): value for name, value in asdict(evaluation).items()})
