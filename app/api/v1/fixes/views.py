"""The fixes of a domain, in the formats of DNS tools."""

from dataclasses import asdict

from flask import Blueprint, Response
from pydantic.alias_generators import to_camel

from app.api.http import fields, responses
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1.fixes import schemas
from app.models.keys import Scope
from app.services.domain_status import dns_status

bp = Blueprint("fixes", __name__, url_prefix="/domains/<domain>/fixes")


@bp.get("")
@endpoint(scopes=(Scope.DOMAINS_READ,), returns=schemas.FormattedFix, is_list=True)
def index(domain: str) -> Response:
    """List a domain's fixes in the formats of DNS tools."""
    fixes = [
        {
            "check": item.check,
            "code": item.code,
            "subject": item.subject,
            "fix": item.fix,
            "formats": {to_camel(name): text for name, text in asdict(item.formats).items()},
        }
        for item in dns_status.fixes(current().account_id, domain)
    ]
    return responses.page(fixes, fields.NoQuery(), None)
