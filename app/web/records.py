"""The page of the records that are behind a figure, and the same as a file."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from flask import Blueprint, Response, abort, request, url_for
from flask.typing import ResponseReturnValue

from app.errors import InvalidRequest
from app.insight import behind
from app.insight.periods import Window, at
from app.models.reports import PROVENANCES
from app.protocols.timestamps import FIRST, LAST
from app.services import domains, lines, record_files, records
from app.services.listing import Listing
from app.services.records import RecordFilter
from app.web import forms, pages

bp = Blueprint("records", __name__, url_prefix="/domains/<domain>/records")

PAGE = 50
MOST_TEXT = 3_000
MOST_NAMED = 5  # addresses that are each named and taken away by themselves
RESULTS = ("pass", "fail")
CHOICES: Mapping[str, Sequence[str]] = {
    "result": RESULTS, "dkim": RESULTS, "spf": RESULTS, "provenance": PROVENANCES,
}  # fmt: skip
TEXTS = ("disposition", "headerFrom", "reporter")
MOMENTS = ("from", "to")
WORDS: Mapping[str, Mapping[str, str]] = {
    "result": {"pass": "passed DMARC", "fail": "failed DMARC"},
    "dkim": {"pass": "DKIM passed in alignment", "fail": "DKIM failed in alignment"},
    "spf": {"pass": "SPF passed in alignment", "fail": "SPF failed in alignment"},
}
SAID = {
    "from": "since {}",
    "to": "before {}",
    "provenance": "reports that are {}",
    "disposition": "receivers did: {}",
    "headerFrom": "author at {}",
    "reporter": "told by {}",
}

Given = dict[str, str]


class Links:
    """Addresses of the pages with the records behind figures of a window."""

    def __init__(self, domain: str, window: Window) -> None:
        self._domain, self._window = domain, window

    def to(self, **filters: str) -> str:
        """Records of which what counts adds up to the figure."""
        return self._at(self._window, filters)

    def before(self) -> str:
        """Those of the time before, which is as long."""
        return self._at(self._window.before, {})

    def within(self, start: int, stop: int, **filters: str) -> str:
        """Those of some hours of the window."""
        part = Window(max(start, self._window.start), min(stop, self._window.stop))
        return self._at(part, filters)

    def of(self, source: Any, **filters: str) -> str | None:
        """Those of a source's addresses; None if it is known without any."""
        found = behind.addresses(source)
        return self.to(**filters, sourceIp=",".join(found)) if found else None

    def _at(self, window: Window, filters: Mapping[str, str]) -> str:
        bounds = {"from": _text(at(window.start)), "to": _text(at(window.stop))}
        return _address(self._domain, {**bounds, **filters})


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """The records of a domain that fit the filters, the newest mail first."""
    account, given = pages.visitor().account_id, _given()
    found = domains.find(account, domain)
    window, errors = _window(given), dict[str, str]()
    rows: Sequence[Any] = ()
    paging, place = pages.Paging(given), None
    try:
        rows, place = _listing(account, domain, given).page(paging.given, PAGE)
    except InvalidRequest as error:
        errors = pages.complaints(error)
        if "sourceIp" not in errors:
            raise
    counted = [records.counted(row, window) for row in rows]
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
        results=WORDS["result"],
        kept={name: given[name] for name in ("dkim", "spf", "provenance") if name in given},
        errors=errors,
    )


@bp.get("/file")
def file(domain: str) -> ResponseReturnValue:
    """All of them in a file, as the API has it: to be saved, and never shown."""
    account, given = pages.visitor().account_id, _given()
    kind, window = request.args.get("format", ""), _window(given)
    if kind not in lines.TYPES:
        abort(400, "There is no such kind of file.")
    items = lines.every(
        _listing(account, domain, given),
        lambda row: record_files.of_domain(row, records.counted(row, window)),
    )
    is_csv = kind == "csv"
    body = lines.of_csv(record_files.COLUMNS, items) if is_csv else lines.of_json(items)
    response = Response(body, content_type=f"{lines.TYPES[kind]}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="dmarc-records.{kind}"'
    return response


def _given() -> Given:
    """What the list is asked for; what makes no sense counts as not asked."""
    found = {name: request.args.get(name, "").strip() for name in (*CHOICES, *TEXTS, *MOMENTS)}
    for name, allowed in CHOICES.items():
        found[name] = found[name] if found[name] in allowed else ""
    for name in TEXTS:
        found[name] = found[name][:300].replace("\0", "")
    for name in MOMENTS:
        moment = forms.moment(found[name])
        found[name] = _text(moment) if moment else ""
    addresses = re.split(r"[\s,]+", request.args.get("sourceIp", "")[:MOST_TEXT].replace("\0", ""))
    found["sourceIp"] = ",".join(filter(None, addresses))
    return {name: text for name, text in found.items() if text}


def _listing(account: UUID, domain: str, given: Given) -> Listing:
    addresses = given["sourceIp"].split(",") if "sourceIp" in given else []
    if len(addresses) > behind.MOST_ADDRESSES:
        message = f"at most {behind.MOST_ADDRESSES} addresses"
        raise InvalidRequest([{"field": "sourceIp", "code": "invalid", "message": message}])
    filters = RecordFilter(
        result=given.get("result"),
        dkim=given.get("dkim"),
        spf=given.get("spf"),
        disposition=given.get("disposition"),
        header_from=given.get("headerFrom"),
        reporter=given.get("reporter"),
        provenance=given.get("provenance"),
        source_ips=addresses,
    )
    return records.of_domain(account, domain, _window(given), filters)


def _window(given: Given) -> Window:
    from_at = forms.moment(given.get("from", "")) or FIRST
    return Window.between(from_at, forms.moment(given.get("to", "")) or LAST)


def _words(domain: str, given: Given) -> Iterator[tuple[str, str]]:
    """Each filter in words, with the address of the list without it."""

    def without(name: str, **instead: str) -> str:
        others = {key: value for key, value in given.items() if key != name}
        return _address(domain, others | instead)

    for name, value in given.items():
        if name == "sourceIp":
            addresses = value.split(",")
            if len(addresses) > MOST_NAMED:
                yield f"sent by {addresses[0]} and {len(addresses) - 1} more", without(name)
                continue
            for address in addresses:
                left = ",".join(other for other in addresses if other != address)
                yield f"sent by {address}", without(name, **({name: left} if left else {}))
        elif name in WORDS:
            yield WORDS[name][value], without(name)
        else:
            shown = f"{value.replace('T', ' ')} UTC" if name in MOMENTS else value
            yield SAID[name].format(shown), without(name)


def _address(domain: str, filters: Mapping[str, Any]) -> str:
    return url_for("web.records.index", domain=domain, **filters)


def _text(moment: datetime) -> str:
    """As a field of a form has it."""
    return f"{moment:%Y-%m-%dT%H:%M}"
