"""The check routes: the catalog of checks, and the validation of draft records."""

from typing import Annotated, Literal

from flask import Blueprint, Response, current_app
from pydantic import AfterValidator, Field

from app.api.http import fields, responses, slots
from app.api.http.endpoint import Body, endpoint
from app.api.v1.checks import schemas
from app.api.v1.schemas import CheckResult
from app.checks.engine.types import Usage
from app.services.core import finding_docs
from app.services.domains import draft_evaluation

bp = Blueprint("checks", __name__, url_prefix="/checks")


def _no_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("NUL is not allowed")
    return text


class DraftBody(Body):
    """Draft records to evaluate as if they were published."""

    check: Literal["spf", "dkim", "dmarc", "mta_sts", "tls_rpt", "bimi"]
    name: fields.Name
    records: list[Annotated[str, Field(max_length=8000), AfterValidator(_no_nul)]] = Field(
        max_length=10
    )
    usage: Usage = Usage.BOTH


@bp.get("")
@endpoint(returns=schemas.Check, is_list=True)
def index() -> Response:
    """List checks and their finding codes."""
    return responses.page(finding_docs.catalog(), fields.NoQuery(), None)


@bp.post("/evaluate")
@endpoint(body=DraftBody, returns=CheckResult)
def evaluate(body: DraftBody) -> Response:
    """Validate a draft record."""
    draft = draft_evaluation.DraftRecord(
        check=body.check, name=body.name, records=body.records, usage=body.usage
    )
    with slots.evaluation():
        return responses.item(draft_evaluation.evaluate(draft, current_app.extensions["network"]))
