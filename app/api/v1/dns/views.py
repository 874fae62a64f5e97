"""The DNS routes of a domain: latest results, DNS changes, and SPF evaluation."""

from dataclasses import asdict

from flask import Blueprint, Response, current_app
from pydantic import Field
from pydantic.alias_generators import to_camel

from app import ids
from app.api.http import fields, responses, slots
from app.api.http.auth import current
from app.api.http.endpoint import Body, endpoint
from app.api.v1.dns import schemas
from app.checks.transport.evaluate import breaks_delivery
from app.models.keys import Scope
from app.services.domain_status import dns_status
from app.services.domain_status.dns_status import ChangeFilter
from app.services.domains import dane_evaluation, draft_evaluation
from app.services.domains.draft_evaluation import SpfSender
from app.services.scans import serialization

bp = Blueprint("dns", __name__, url_prefix="/domains/<domain>")


class HistoryQuery(fields.PeriodQuery):
    """Filters of the list of DNS changes."""

    check: fields.Text | None = None


class CertificateBody(Body):
    """The certificate that is compared with the TLSA records."""

    certificate: str = Field(
        max_length=64 * 1024,
        description="the certificate in PEM, followed by those of its CAs if the server sends them",
    )


class Sender(Body):
    """The sender whose SPF result is evaluated."""

    ip: fields.Text
    mail_from: fields.Text | None = Field(default=None, description="postmaster@ the domain")
    helo: fields.Text | None = None


@bp.get("/dns")
@endpoint(scopes=(Scope.DOMAINS_READ,), returns=schemas.DnsStatus)
def status(domain: str) -> Response:
    """Get a domain's latest results."""
    row, state = dns_status.status(current().account_id, domain)
    results = state.last_results if state else {}
    undetermined = dict(state.undetermined) if state else {}
    return responses.item(
        {
            "domainId": ids.public("dom", row.id),
            "domainName": row.name,
            "updatedAt": responses.time(state.updated_at) if state else None,
            "score": (state.score or None) if state else None,
            "checks": [
                {
                    **serialization.last_result(check),
                    "undeterminedReason": undetermined.get(name),
                }
                for name, check in results.items()
            ],
            "undeterminedChecks": {
                name: reason for name, reason in undetermined.items() if name not in results
            },
        }
    )


@bp.get("/dns/history")
@endpoint(scopes=(Scope.DOMAINS_READ,), query=HistoryQuery, returns=schemas.DnsChange, is_list=True)
def history(domain: str, query: HistoryQuery) -> Response:
    """List DNS changes."""
    filters = ChangeFilter(query.check, query.from_at, query.to_at)
    rows, next_values = dns_status.history(
        current().account_id,
        domain,
        filters,
        cursor_values=responses.cursor_values(query),
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
    return responses.page(changes, query, next_values)


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


@bp.post("/dane/evaluate")
@endpoint(scopes=(Scope.DOMAINS_READ,), body=CertificateBody, returns=schemas.DaneResult)
def evaluate_dane(domain: str, body: CertificateBody) -> Response:
    """Compare a certificate with a domain's TLSA records."""
    with slots.evaluation():
        hosts = dane_evaluation.evaluate(
            current().account_id, domain, body.certificate, current_app.extensions["network"]
        )
    data = [
        {
            "host": host.host,
            "owner": host.owner,
            "secure": host.secure,
            "result": host.result,
            "reason": host.reason,
            "breaksDelivery": host.breaks_delivery,
            "records": [asdict(record) for record in host.records],
        }
        for host in hosts
    ]
    return responses.item({"breaksDelivery": breaks_delivery(hosts), "hosts": data})
