"""The scan routes: trigger, list, get, compare and cancel scans, and batches of scans."""

from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal

from flask import Blueprint, Response, url_for
from pydantic import Field, model_validator

from app import ids
from app.analysis.scan.diff import diff
from app.api.http import fields, lists, responses, slots
from app.api.http.auth import current
from app.api.http.endpoint import Body, Query, endpoint
from app.api.http.lists import SerializedRowCache
from app.api.v1 import exports
from app.api.v1.exports import ExportablePeriod, Table
from app.api.v1.scans import schemas
from app.errors import InvalidRequest
from app.limits.concurrency import RETRY_SECONDS
from app.models.keys import Scope
from app.services.scans import batches, scans, serialization
from app.services.scans.batches import Selection
from app.services.scans.scans import ScanFilter

bp = Blueprint("scans", __name__)
READ = (Scope.DOMAINS_READ, Scope.SCANS_TRIGGER)


class TriggerBody(Body):
    """Options for starting a scan."""

    max_age_seconds: Annotated[int, Field(ge=1, le=fields.MAX_AGE)] | None = None


class BatchBody(Body):
    """The domains to scan: exactly one of a list of ids or names, a tag, or all."""

    domains: list[fields.Name] | None = Field(default=None, min_length=1, max_length=5000)
    tag: fields.Tag | None = None
    all: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_of(self) -> "BatchBody":
        if len(self.model_fields_set) != 1:
            raise ValueError("specify exactly one of domains, tag and all")
        return self


class ScanQuery(ExportablePeriod):
    """Filters of the list of scans."""

    domain: fields.Name | None = None
    status: fields.ScanStatus | None = None
    trigger: fields.ScanTrigger | None = None


class WaitQuery(Query):
    """How long to wait for a scan that is queued or running."""

    wait: Annotated[int, Field(ge=0, le=30)] = Field(
        default=0, description="seconds to wait until the scan is finished"
    )


class DiffQuery(Query):
    """The scan to compare with."""

    base: fields.Text | None = Field(
        default=None, description="id of a scan; by default the previous scan"
    )


@bp.post("/domains/<domain>/scans")
@endpoint(
    scopes=(Scope.SCANS_TRIGGER,),
    body=TriggerBody,
    is_body_optional=True,
    returns=schemas.Scan,
    status=202,
    also=(200,),
    has_location=True,
)
def trigger(domain: str, body: TriggerBody) -> Response:
    """Scan a domain."""
    caller = current()
    age = timedelta(seconds=body.max_age_seconds) if body.max_age_seconds else None
    triggered = scans.trigger(caller.account_id, domain, actor=caller.actor, max_age=age)
    scan = triggered.scan
    if triggered.outcome == "fresh":
        return responses.item(detail(scans.find(caller.account_id, scan.id)))
    data = {
        **head(scan),
        "coalesced": triggered.outcome == "coalesced",
        "checks": None,
        "alerts": None,
    }
    return responses.item(data, 202, location=url_for(".show", id=ids.public("scan", scan.id)))


@bp.post("/scans")
@endpoint(
    scopes=(Scope.SCANS_TRIGGER,),
    body=BatchBody,
    returns=schemas.ScanBatch,
    status=202,
    has_location=True,
)
def trigger_many(body: BatchBody) -> Response:
    """Scan up to 5,000 domains."""
    caller = current()
    selection = Selection(body.domains or (), body.tag, body.all is True)
    batch = batches.trigger(caller.account_id, selection, actor=caller.actor)
    location = url_for(".show_batch", id=ids.public("batch", batch.id))
    return responses.item(batch_schema(batch), 202, location=location)


@bp.get("/scan-batches/<id>")
@endpoint(scopes=READ, returns=schemas.ScanBatch)
def show_batch(id: str) -> Response:
    """Get batch progress."""
    return responses.item(
        batch_schema(batches.find(current().account_id, fields.path_id("batch", id)))
    )


@bp.get("/scans")
@endpoint(scopes=READ, query=ScanQuery, returns=schemas.ScanHead, is_list=True, exports=True)
def index(query: ScanQuery) -> Response:
    """List scans."""
    listing = scans.listing(current().account_id, lists.filters(query, ScanFilter))
    return exports.answer(listing, query, _TABLE, _row_cache)


@bp.get("/scans/<id>")
@endpoint(scopes=READ, query=WaitQuery, returns=schemas.Scan)
def show(id: str, query: WaitQuery) -> Response:
    """Get a scan with its results."""
    account_id, scan_id = current().account_id, fields.path_id("scan", id)
    is_finished = partial(scans.is_finished, account_id, scan_id)
    has_waited = not query.wait or slots.wait_until(is_finished, query.wait)
    response = responses.item(detail(scans.find(account_id, scan_id)))
    if not has_waited:
        response.headers["Retry-After"] = str(RETRY_SECONDS)
    return response


@bp.get("/scans/<id>/diff")
@endpoint(scopes=(Scope.DOMAINS_READ,), query=DiffQuery, returns=schemas.ScanDiff)
def compare(id: str, query: DiffQuery) -> Response:
    """Compare a scan with an earlier one."""
    base_id = ids.parse("scan", query.base) if query.base else None
    if query.base and base_id is None:
        raise InvalidRequest.field("base", "not the id of a scan")
    scan, base = scans.find_pair(current().account_id, fields.path_id("scan", id), base_id)
    before = base.result["checks"] if base and base.result else []
    after = scan.result["checks"] if scan.result else []
    changes = diff(before, after) if base else {"dnsChanges": [], "checks": []}
    base_public = ids.public("scan", base.id) if base else None
    return responses.item({"scanId": id, "baseId": base_public, **changes})


@bp.post("/scans/<id>/cancel")
@endpoint(scopes=(Scope.SCANS_TRIGGER,), returns=schemas.Scan, errors=(409,))
def cancel(id: str) -> Response:
    """Cancel a queued scan."""
    return responses.item(detail(scans.cancel(current().account_id, fields.path_id("scan", id))))


def head(row: Any) -> dict[str, Any]:
    """Return a scan, or a row of ``scans.COLUMNS``, as JSON without results."""
    score = row.score and {name: row.score[name] for name in ("value", "grade", "version")}
    return {
        "id": ids.public("scan", row.id),
        "domainId": ids.public("dom", row.domain_id),
        "domainName": row.domain_name,
        "status": row.status,
        "trigger": row.trigger,
        "requestedAt": responses.time(row.requested_at),
        "startedAt": responses.time(row.started_at),
        "finishedAt": responses.time(row.finished_at),
        "durationMs": serialization.duration_ms(row.started_at, row.finished_at),
        "queryCount": row.query_count,
        "score": score or None,
        "summary": row.summary,
        "error": row.error,
    }


_row_cache = SerializedRowCache(head)
_TABLE = Table("scans", schemas.ScanHead, head)


def detail(scan: Any) -> dict[str, Any]:
    """Return a scan as JSON with its results, if it has any yet."""
    stored = scan.result or {"checks": None, "alerts": None}
    checks = stored["checks"] and [*map(serialization.with_documentation, stored["checks"])]
    changed = stored["alerts"] and {"notEvaluated": None, **stored["alerts"]}
    return {**head(scan), "coalesced": False, **stored, "checks": checks, "alerts": changed}


def batch_schema(batch: batches.Batch) -> dict[str, Any]:
    """Return a batch with its scans as JSON."""
    return {
        "id": ids.public("batch", batch.id),
        "status": "completed" if batch.finished_at else "running",
        "counts": dict(batch.counts),
        "requestedAt": responses.time(batch.requested_at),
        "finishedAt": responses.time(batch.finished_at),
        "scans": [
            {
                "id": ids.public("scan", row.id),
                "domainName": row.domain_name,
                "status": row.status,
            }
            for row in batch.scans
        ],
    }
