"""The page of the DMARC records behind a figure, and their download."""

import re
from collections.abc import Iterator

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from app.analysis.mail.record_filter import NOT_PASS, RESULTS, RecordFilter
from app.models.reports import PROVENANCES, TRUSTED
from app.services.reports import dmarc_records, serialization
from app.web.base import pages, query, record_lists
from app.web.base.record_lists import Filters, Parameters

bp = Blueprint("records", __name__, url_prefix="/domains/<domain>/records")

ENDPOINT = "web.records.index"
MAX_TEXT = 3_000
MAX_NAMED = 5  # addresses with a filter label each; more share one label
RESULT_LABELS = {"pass": "Passed DMARC", "fail": "Failed DMARC"}
# Filters that are hidden fields of the form.
HIDDEN = ("dkim", "spf", "provenance", "subdomainsOnly", "dkimResult", "spfResult")
FILTERS = Filters(
    choices={
        "result": RESULTS,
        "dkim": RESULTS,
        "spf": RESULTS,
        "provenance": (*PROVENANCES, TRUSTED),
        "subdomainsOnly": ("true",),
    },
    texts=(
        *("disposition", "headerFrom", "reporter", "dkimDomain", "dkimSelector", "dkimResult"),
        *("spfDomain", "spfResult"),
    ),
    labels={
        "result": RESULT_LABELS,
        "dkim": {"pass": "DKIM aligned", "fail": "DKIM not aligned"},
        "spf": {"pass": "SPF aligned", "fail": "SPF not aligned"},
        "disposition": "Disposition: {}",
        "headerFrom": "Header From: {}",
        "subdomainsOnly": {"true": "Header From: subdomains only"},
        "dkimDomain": "DKIM domain: {}",
        "dkimSelector": "DKIM selector: {}",
        "dkimResult": {NOT_PASS: "DKIM result: not pass", "": "DKIM result: {}"},
        "spfDomain": "Envelope From: {}",
        "spfResult": {NOT_PASS: "SPF result: not pass", "": "SPF result: {}"},
    },
)


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """List the records of a domain that match the filters, newest email first."""
    values = _values()
    paging = pages.Paging(values)
    page = dmarc_records.page(
        pages.user_session().account_id,
        domain,
        record_lists.window(values),
        RecordFilter.from_query(values),
        paging.cursor_values,
    )
    errors = pages.field_errors(page.error) if page.error else {}
    return pages.render(
        "records.html",
        400 if errors else 200,
        domain=page.domain,
        page=page,
        following=paging.following(page.cursor_values),
        params=values,
        labels=list(_labels(page.domain.name, values)),
        presets=query.presets(time="T00:00"),
        results=RESULT_LABELS,
        hidden={name: values[name] for name in HIDDEN if name in values},
        errors=errors,
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """Download all records that match the filters."""
    account, values = pages.user_session().account_id, _values()
    listing = dmarc_records.of_domain(
        account, domain, record_lists.window(values), RecordFilter.from_query(values)
    )
    return record_lists.file(
        listing, serialization.of_domain, serialization.COLUMNS, "dmarc-records"
    )


def _values() -> Parameters:
    values = FILTERS.from_request()
    addresses = re.split(r"[\s,]+", request.args.get("sourceIp", "")[:MAX_TEXT].replace("\0", ""))
    joined = ",".join(filter(None, addresses))
    return {**values, "sourceIp": joined} if joined else values


def _labels(domain: str, values: Parameters) -> Iterator[tuple[str, str]]:
    """Return the label of each filter, with the URL of the list without it."""

    def to(others: Parameters) -> str:
        return record_lists.address(ENDPOINT, domain, others)

    yield from FILTERS.removable(values, to)
    addresses = RecordFilter.from_query(values).source_ips
    others = record_lists.without(values, "sourceIp")
    if len(addresses) > MAX_NAMED:
        yield f"Source: {addresses[0]} and {len(addresses) - 1} more", to(others)
        return
    for address in addresses:
        rest = ",".join(other for other in addresses if other != address)
        yield f"Source: {address}", to(others | ({"sourceIp": rest} if rest else {}))
