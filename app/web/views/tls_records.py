"""The page of the TLS report records behind a figure, and their download."""

from uuid import UUID

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.analysis.mail.periods import Window
from app.models.reports import PROVENANCES
from app.services.core import domain_lookup
from app.services.core.listing import Listing
from app.services.reports import serialization, tls_records
from app.services.reports.tls_records import TlsFilter
from app.web.base import pages, record_lists
from app.web.base.record_lists import Filters, Parameters

bp = Blueprint("tls_records", __name__, url_prefix="/domains/<domain>/tls-records")

ENDPOINT = "web.tls_records.index"
PAGE = 50
MAX_FAILURES = 5  # shown for one record
HOST_LABELS = {"true": "at an MX host", "false": "before an MX host was reached"}
FILTERS = Filters(
    choices={"hasMx": ("true", "false"), "provenance": PROVENANCES},
    texts=("policyType", "resultType", "mx", "reporter"),
    exact=("resultType", "mx"),
    said={
        "policyType": "Policy type: {}",
        "resultType": "Failure: {}",
        "mx": "Failed at {}",
        "hasMx": {value: f"Failed {label}" for value, label in HOST_LABELS.items()},
    },
)


def links(domain: str, window: Window) -> record_lists.Links:
    """The URLs of the pages with the records behind the figures of a window."""
    return record_lists.Links(ENDPOINT, domain, window)


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """List the records of a domain's TLS reports that match the filters, newest first."""
    account, values = pages.user_session().account_id, FILTERS.given()
    row = domain_lookup.find(account, domain)
    paging = pages.Paging(values)
    rows, cursor_values = _listing(account, domain, values).page(paging.given, PAGE)
    return pages.render(
        "tls_records.html",
        domain=row,
        rows=rows,
        is_all=not cursor_values and not paging.given,
        is_of_failures=any(name in values for name in ("resultType", "mx", "hasMx")),
        following=paging.following(cursor_values),
        given=values,
        labels=list(
            FILTERS.words(values, lambda others: record_lists.address(ENDPOINT, row.name, others))
        ),
        hosts=HOST_LABELS,
        most=MAX_FAILURES,
        hidden={name: values[name] for name in ("provenance",) if name in values},
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """Download all records that match the filters."""
    listing = _listing(pages.user_session().account_id, domain, FILTERS.given())
    return record_lists.file(
        listing, serialization.of_policy, serialization.TLS_COLUMNS, "tls-records"
    )


def _listing(account: UUID, domain: str, values: Parameters) -> Listing:
    has_mx = values.get("hasMx")
    filters = TlsFilter(
        policy_type=values.get("policyType"),
        reporter=values.get("reporter"),
        provenance=values.get("provenance"),
        result_type=values.get("resultType"),
        mx=values.get("mx"),
        has_mx=None if has_mx is None else has_mx == "true",
    )
    return tls_records.of_domain(account, domain, record_lists.window(values), filters)
