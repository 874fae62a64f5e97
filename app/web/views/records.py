"""The page of the records of mail that are behind a figure, and the same as a file."""

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
MAX_NAMED = 5  # addresses that are each named and taken away by themselves
RESULTS = ("pass", "fail")
RESULT_WORDS = {"pass": "passed DMARC", "fail": "failed DMARC"}
TEXTS: Mapping[str, str] = {  # and the fields of a RecordFilter
    "disposition": "disposition", "headerFrom": "header_from", "reporter": "reporter",
    "dkimDomain": "dkim_domain", "dkimSelector": "dkim_selector", "dkimResult": "dkim_result",
    "spfDomain": "spf_domain", "spfResult": "spf_result",
}  # fmt: skip
PRESERVED = (
    "dkim",
    "spf",
    "provenance",
    "below",
    "dkimResult",
    "spfResult",
)  # without a field to see
FILTERS = Filters(
    choices={
        "result": RESULTS, "dkim": RESULTS, "spf": RESULTS, "provenance": (*PROVENANCES, TRUSTED),
        "below": ("true",),
    },
    texts=tuple(TEXTS),
    said={
        "result": RESULT_WORDS,
        "dkim": {"pass": "DKIM passed in alignment", "fail": "DKIM failed in alignment"},
        "spf": {"pass": "SPF passed in alignment", "fail": "SPF failed in alignment"},
        "disposition": "receivers did: {}",
        "headerFrom": "author at {}",
        "below": {"true": "author below the domain"},
        "dkimDomain": "signed by {}",
        "dkimSelector": "DKIM selector {}",
        "dkimResult": {record_query.NOT_PASS: "signature: not valid", "": "signature: {}"},
        "spfDomain": "envelope from {}",
        "spfResult": {record_query.NOT_PASS: "SPF did not pass", "": "SPF result: {}"},
    },
)  # fmt: skip


class Links(record_lists.Links):
    """Addresses of the pages with the records behind figures of a window."""

    def __init__(self, domain: str, window: Window) -> None:
        super().__init__(ENDPOINT, domain, window)

    def listed(self, found: RecordQueryResult) -> str | None:
        """Those behind a part of the mail; None if a list cannot be narrowed to what it came from.

        They may have others among them; then its ``is_exact`` is False.
        """
        return self.to(**found.filters) if found.is_narrow else None


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """The records of a domain that fit the filters, the newest mail first."""
    account, given = pages.user_session().account_id, _given()
    found = domain_lookup.find(account, domain)
    window, errors = record_lists.window(given), dict[str, str]()
    rows: Sequence[Any] = ()
    paging, place = pages.Paging(given), None
    try:
        rows, place = _listing(account, domain, given).page(paging.given, PAGE)
    except InvalidRequest as error:
        errors = pages.field_errors(error)
        if "sourceIp" not in errors:
            raise
    counted = [dmarc_records.counts(row, window) for row in rows]
    is_all = not place and not paging.given
    return pages.render(
        "records.html",
        400 if errors else 200,
        domain=found,
        rows=list(zip(rows, counted, strict=True)),
        total=sum(counted) if is_all else None,
        following=paging.following(place),
        given=given,
        words=list(_words(found.name, given)),
        results=RESULT_WORDS,
        kept={name: given[name] for name in PRESERVED if name in given},
        errors=errors,
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """All of them in a file."""
    account, given = pages.user_session().account_id, _given()
    window = record_lists.window(given)

    def told(row: Any) -> Mapping[str, Any]:
        return serialization.of_domain(row, dmarc_records.counts(row, window))

    listing = _listing(account, domain, given)
    return record_lists.file(listing, told, serialization.COLUMNS, "dmarc-records")


def _given() -> Parameters:
    given = FILTERS.given()
    addresses = re.split(r"[\s,]+", request.args.get("sourceIp", "")[:MAX_TEXT].replace("\0", ""))
    named = ",".join(filter(None, addresses))
    return {**given, "sourceIp": named} if named else given


def _listing(account: UUID, domain: str, given: Parameters) -> Listing:
    addresses = given["sourceIp"].split(",") if "sourceIp" in given else []
    if len(addresses) > record_query.MAX_ADDRESSES:
        message = f"at most {record_query.MAX_ADDRESSES} addresses"
        raise InvalidRequest([{"field": "sourceIp", "code": "invalid", "message": message}])
    filters = RecordFilter(
        result=given.get("result"),
        dkim=given.get("dkim"),
        spf=given.get("spf"),
        provenance=given.get("provenance"),
        subdomains_only="below" in given,
        source_ips=addresses,
        **{field: given[name] for name, field in TEXTS.items() if name in given},
    )
    return dmarc_records.of_domain(account, domain, record_lists.window(given), filters)


def _words(domain: str, given: Parameters) -> Iterator[tuple[str, str]]:
    """Each filter in words, with the address of the list without it."""

    def to(others: Parameters) -> str:
        return record_lists.address(ENDPOINT, domain, others)

    yield from FILTERS.words(given, to)
    addresses = given["sourceIp"].split(",") if "sourceIp" in given else []
    others = record_lists.without(given, "sourceIp")
    if len(addresses) > MAX_NAMED:
        yield f"sent by {addresses[0]} and {len(addresses) - 1} more", to(others)
        return
    for address in addresses:
        left = ",".join(other for other in addresses if other != address)
        yield f"sent by {address}", to(others | ({"sourceIp": left} if left else {}))
