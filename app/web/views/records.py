"""The page of the DMARC records behind a figure, and their download."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from flask import Blueprint, request
from flask.typing import ResponseReturnValue

from app.analysis.mail import record_query
from app.analysis.mail.periods import Window
from app.analysis.mail.record_query import RecordQueryResult
from app.errors import InvalidRequest
from app.models.reports import PROVENANCES, TRUSTED
from app.services.core import domain_lookup
from app.services.core.listing import Listing
from app.services.reports import dmarc_records, serialization
from app.services.reports.dmarc_records import RecordFilter
from app.web.base import pages, record_lists
from app.web.base.record_lists import Filters, Parameters

bp = Blueprint("records", __name__, url_prefix="/domains/<domain>/records")

ENDPOINT = "web.records.index"
PAGE = 50
MAX_TEXT = 3_000
MAX_NAMED = 5  # addresses with a filter label each; more share one label
RESULTS = ("pass", "fail")
RESULT_LABELS = {"pass": "Passed DMARC", "fail": "Failed DMARC"}
TEXTS: Mapping[str, str] = {  # and the fields of a RecordFilter
    "disposition": "disposition",
    "headerFrom": "header_from",
    "reporter": "reporter",
    "dkimDomain": "dkim_domain",
    "dkimSelector": "dkim_selector",
    "dkimResult": "dkim_result",
    "spfDomain": "spf_domain",
    "spfResult": "spf_result",
}
HIDDEN = (
    "dkim",
    "spf",
    "provenance",
    "subdomainsOnly",
    "dkimResult",
    "spfResult",
)  # hidden form fields
FILTERS = Filters(
    choices={
        "result": RESULTS,
        "dkim": RESULTS,
        "spf": RESULTS,
        "provenance": (*PROVENANCES, TRUSTED),
        "subdomainsOnly": ("true",),
    },
    texts=tuple(TEXTS),
    said={
        "result": RESULT_LABELS,
        "dkim": {"pass": "DKIM aligned", "fail": "DKIM not aligned"},
        "spf": {"pass": "SPF aligned", "fail": "SPF not aligned"},
        "disposition": "Disposition: {}",
        "headerFrom": "Header From: {}",
        "subdomainsOnly": {"true": "Header From: subdomains only"},
        "dkimDomain": "DKIM domain: {}",
        "dkimSelector": "DKIM selector: {}",
        "dkimResult": {record_query.NOT_PASS: "DKIM result: not pass", "": "DKIM result: {}"},
        "spfDomain": "Envelope From: {}",
        "spfResult": {record_query.NOT_PASS: "SPF result: not pass", "": "SPF result: {}"},
    },
)


class Links(record_lists.Links):
    """The URLs of the pages with the records behind the figures of a window."""

    def __init__(self, domain: str, window: Window) -> None:
        super().__init__(ENDPOINT, domain, window)

    def listed(self, records: RecordQueryResult) -> str | None:
        """The URL of the records behind a figure; None if no filters select them.

        The list may have other records too; then ``records.is_exact`` is False.
        """
        return self.to(**records.filters) if records.is_narrow else None


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """List the records of a domain that match the filters, newest email first."""
    account, values = pages.user_session().account_id, _values()
    row = domain_lookup.find(account, domain)
    window, errors = record_lists.window(values), dict[str, str]()
    rows: Sequence[Any] = ()
    paging, cursor_values = pages.Paging(values), None
    try:
        rows, cursor_values = _listing(account, domain, values).page(paging.given, PAGE)
    except InvalidRequest as error:
        errors = pages.field_errors(error)
        if "sourceIp" not in errors:
            raise
    messages = [dmarc_records.counts(record, window) for record in rows]
    is_all = not cursor_values and not paging.given
    return pages.render(
        "records.html",
        400 if errors else 200,
        domain=row,
        rows=list(zip(rows, messages, strict=True)),
        total=sum(messages) if is_all else None,
        following=paging.following(cursor_values),
        given=values,
        labels=list(_labels(row.name, values)),
        results=RESULT_LABELS,
        hidden={name: values[name] for name in HIDDEN if name in values},
        errors=errors,
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """Download all records that match the filters."""
    account, values = pages.user_session().account_id, _values()
    window = record_lists.window(values)

    def serialize(row: Any) -> Mapping[str, Any]:
        return serialization.of_domain(row, dmarc_records.counts(row, window))

    listing = _listing(account, domain, values)
    return record_lists.file(listing, serialize, serialization.COLUMNS, "dmarc-records")


def _values() -> Parameters:
    values = FILTERS.given()
    addresses = re.split(r"[\s,]+", request.args.get("sourceIp", "")[:MAX_TEXT].replace("\0", ""))
    joined = ",".join(filter(None, addresses))
    return {**values, "sourceIp": joined} if joined else values


def _listing(account: UUID, domain: str, values: Parameters) -> Listing:
    addresses = values["sourceIp"].split(",") if "sourceIp" in values else []
    if len(addresses) > record_query.MAX_ADDRESSES:
        message = f"Enter at most {record_query.MAX_ADDRESSES} addresses"
        raise InvalidRequest.field("sourceIp", message)
    filters = RecordFilter(
        result=values.get("result"),
        dkim=values.get("dkim"),
        spf=values.get("spf"),
        provenance=values.get("provenance"),
        subdomains_only="subdomainsOnly" in values,
        source_ips=addresses,
        **{field: values[name] for name, field in TEXTS.items() if name in values},
    )
    return dmarc_records.of_domain(account, domain, record_lists.window(values), filters)


def _labels(domain: str, values: Parameters) -> Iterator[tuple[str, str]]:
    """The label of each filter, with the URL of the list without it."""

    def to(others: Parameters) -> str:
        return record_lists.address(ENDPOINT, domain, others)

    yield from FILTERS.words(values, to)
    addresses = values["sourceIp"].split(",") if "sourceIp" in values else []
    others = record_lists.without(values, "sourceIp")
    if len(addresses) > MAX_NAMED:
        yield f"Source: {addresses[0]} and {len(addresses) - 1} more", to(others)
        return
    for address in addresses:
        rest = ",".join(other for other in addresses if other != address)
        yield f"Source: {address}", to(others | ({"sourceIp": rest} if rest else {}))
