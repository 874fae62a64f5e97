"""The page of the TLS report records behind a figure, and their download."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.analysis.mail.record_filter import TlsRecordFilter
from app.models.reports import PROVENANCES
from app.services.reports import serialization, tls_records
from app.web.base import pages, query, record_lists
from app.web.base.record_lists import Filters

bp = Blueprint("tls_records", __name__, url_prefix="/domains/<domain>/tls-records")

ENDPOINT = "web.tls_records.index"
HOST_LABELS = {"true": "at an MX host", "false": "before an MX host was reached"}
FILTERS = Filters(
    choices={"hasMx": ("true", "false"), "provenance": PROVENANCES},
    texts=("policyType", "resultType", "mx", "reporter"),
    exact=("resultType", "mx"),
    labels={
        "policyType": "Policy type: {}",
        "resultType": "Failure: {}",
        "mx": "Failed at {}",
        "hasMx": {value: f"Failed {label}" for value, label in HOST_LABELS.items()},
    },
)


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """List the records of a domain's TLS reports that match the filters, newest first."""
    account, values = pages.user_session().account_id, FILTERS.from_request()
    paging = pages.Paging(values)
    page = tls_records.page(
        account,
        domain,
        record_lists.window(values),
        TlsRecordFilter.from_query(values),
        paging.cursor_values,
    )
    name = page.domain.name
    return pages.render(
        "tls_records.html",
        domain=page.domain,
        page=page,
        is_of_failures=any(name in values for name in ("resultType", "mx", "hasMx")),
        following=paging.following(page.cursor_values),
        params=values,
        presets=query.presets(time="T00:00"),
        labels=list(
            FILTERS.removable(values, lambda others: record_lists.address(ENDPOINT, name, others))
        ),
        hosts=HOST_LABELS,
        hidden={name: values[name] for name in ("provenance",) if name in values},
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """Download all records that match the filters."""
    account, values = pages.user_session().account_id, FILTERS.from_request()
    listing = tls_records.of_domain(
        account, domain, record_lists.window(values), TlsRecordFilter.from_query(values)
    )
    return record_lists.file(
        listing, serialization.of_policy, serialization.TLS_COLUMNS, "tls-records"
    )
