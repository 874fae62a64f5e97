"""The parts that record pages share: URLs, filters and downloads."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from flask import Response, abort, current_app, request, url_for

from app.analysis.mail.periods import Window, at
from app.analysis.mail.record_filter import RecordUrls
from app.limits.concurrency import Slots
from app.protocols.report_formats.limits import LIMITS
from app.protocols.timestamps import FIRST, LAST
from app.services.api_keys import account_limits
from app.services.audit import audit_log
from app.services.core.listing import Listing
from app.services.reports import exports
from app.web.base import dates, pages, query

EXPORT_SECONDS = 600  # until a slot is free again after its process was killed
SAFE = "!$'()*,/:;?@"  # characters that are not escaped in a query, as in URLs of ``url_for``
TIME_FILTERS = ("from", "to")
LABELS: Mapping[str, str] = {
    "from": "Since {}",
    "to": "Before {}",
    "provenance": "Reports: {}",
    "reporter": "Reported by {}",
}

Parameters = dict[str, str]  # filter values by name


@dataclass(frozen=True, slots=True)
class Filters:
    """The filters of a list, in addition to from and to.

    choices  the allowed values of filters with fixed values
    texts    filters with free text
    exact    filters with free text whose leading and trailing whitespace counts
    labels   the label of each filter: one text for any value, or one for each (``""``: any other)
    """

    choices: Mapping[str, Sequence[str]]
    texts: Sequence[str]
    labels: Mapping[str, str | Mapping[str, str]]
    exact: Sequence[str] = ()

    def from_request(self) -> Parameters:
        """Return the filter values of the request; invalid values are reported on the page."""
        values = {name: query.choice(name, choices) for name, choices in self.choices.items()}
        for name in self.texts:
            text = request.args.get(name, "")[: LIMITS.field].replace("\0", "")
            values[name] = text if name in self.exact else text.strip()
        for name in TIME_FILTERS:
            time = dates.parse_time(query.time(name))
            values[name] = _text(time) if time else ""
        return {name: value for name, value in values.items() if value}

    def removable(
        self, values: Parameters, to: Callable[[Parameters], str]
    ) -> Iterator[tuple[str, str]]:
        """Yield the label of each filter, with the URL (``to``) of the list without it."""
        for name in (*self.choices, *self.texts, *TIME_FILTERS):
            if value := values.get(name):
                yield self._label(name, value), to(without(values, name))

    def _label(self, name: str, value: str) -> str:
        label = self.labels.get(name) or LABELS[name]
        if not isinstance(label, str):
            label = label[value if value in label else ""]
        return label.format(f"{value.replace('T', ' ')} UTC" if name in TIME_FILTERS else value)


def record_urls(endpoint: str, domain: str, window: Window) -> RecordUrls:
    """Return the URLs of the pages with the records behind the figures of a window.

    A page has hundreds of them, so their path is built once.
    """
    path = address(endpoint, domain, {})

    def url_for_window(part: Window, query: Mapping[str, str]) -> str:
        bounds = {"from": _text(at(part.start)), "to": _text(at(part.stop))}
        return f"{path}?{urlencode({**bounds, **query}, safe=SAFE)}"

    return RecordUrls(window, url_for_window)


def address(endpoint: str, domain: str, filters: Mapping[str, Any]) -> str:
    """Return the URL of a domain's list with filters."""
    return url_for(endpoint, domain=domain, **filters)


def without(values: Parameters, name: str) -> Parameters:
    """Return the filter values except the one of this name."""
    return {key: value for key, value in values.items() if key != name}


def window(values: Parameters) -> Window:
    """Return the window of the from and to filters."""
    from_at = dates.parse_time(values.get("from", "")) or FIRST
    return Window.between(from_at, dates.parse_time(values.get("to", "")) or LAST)


def file(
    listing: Listing,
    of: Callable[[Any], exports.Item],
    columns: Sequence[exports.Path],
    name: str,
) -> Response:
    """Return the whole list as a download in the format of the API."""
    return download(partial(exports.iterate, listing, of), columns, name)


def download(
    read: Callable[[], Iterator[exports.Item]], columns: Sequence[exports.Path], name: str
) -> Response:
    """Return the items as a download; ``read`` is called once the account may export."""
    kind = request.args.get("format", "")
    if kind not in exports.TYPES:
        abort(400, "Choose a file format: CSV or NDJSON.")
    user = pages.user_session()

    def start() -> Iterator[Any]:
        items = read()
        audit_log.record_read(
            user.account_id,
            actor=user.actor,
            action="export.created",
            target=f"{name}.{kind}",
            filters=_filters(),
        )
        return exports.csv_lines(columns, items) if kind == "csv" else exports.ndjson_lines(items)

    limit = account_limits.find(user.account_id).concurrent_exports
    slots: Slots = current_app.extensions["slots"]
    slot = slots.acquire("export", str(user.account_id), limit, EXPORT_SECONDS)
    body = slots.stream(slot, start)
    response = Response(body, content_type=f"{exports.TYPES[kind]}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    return response


def _filters() -> dict[str, str]:
    return {name: text[:200] for name, text in request.args.items() if text and name != "format"}


def _text(when: datetime) -> str:
    """Return the time as the value of a datetime-local field."""
    return when.isoformat(timespec="minutes")[:16]  # without the offset from UTC
