"""The page of the policies of TLS reports that are behind a figure, and the same as a file."""

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
MAX_FAILURES = 5  # of one policy that are shown
HOST_WORDS = {"true": "with an MX host", "false": "before there was an MX host"}
FILTERS = Filters(
    choices={"hasMx": ("true", "false"), "provenance": PROVENANCES},
    texts=("policyType", "resultType", "mx", "reporter"),
    exact=("resultType", "mx"),
    said={
        "policyType": "policy: {}",
        "resultType": "failed: {}",
        "mx": "failed at {}",
        "hasMx": {value: f"failed {words}" for value, words in HOST_WORDS.items()},
    },
)


def links(domain: str, window: Window) -> record_lists.Links:
    """Addresses of the pages with the policies behind figures of a window."""
    return record_lists.Links(ENDPOINT, domain, window)


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """The policies of a domain's TLS reports that fit the filters, the newest first."""
    account, given = pages.user_session().account_id, FILTERS.given()
    found = domain_lookup.find(account, domain)
    paging = pages.Paging(given)
    rows, place = _listing(account, domain, given).page(paging.given, PAGE)
    return pages.render(
        "tls_records.html",
        domain=found,
        rows=rows,
        is_all=not place and not paging.given,
        is_of_failures=any(name in given for name in ("resultType", "mx", "hasMx")),
        following=paging.following(place),
        given=given,
        words=list(
            FILTERS.words(given, lambda others: record_lists.address(ENDPOINT, found.name, others))
        ),
        hosts=HOST_WORDS,
        most=MAX_FAILURES,
        kept={name: given[name] for name in ("provenance",) if name in given},
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """All of them in a file."""
    listing = _listing(pages.user_session().account_id, domain, FILTERS.given())
    return record_lists.file(
        listing, serialization.of_policy, serialization.TLS_COLUMNS, "tls-records"
    )


def _listing(account: UUID, domain: str, given: Parameters) -> Listing:
    has_mx = given.get("hasMx")
    filters = TlsFilter(
        policy_type=given.get("policyType"),
        reporter=given.get("reporter"),
        provenance=given.get("provenance"),
        result_type=given.get("resultType"),
        mx=given.get("mx"),
        has_mx=None if has_mx is None else has_mx == "true",
    )
    return tls_records.of_domain(account, domain, record_lists.window(given), filters)
