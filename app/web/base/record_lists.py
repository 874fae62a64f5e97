"""What the pages of records behind figures have in common: where they are, filters, and files."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flask import Response, abort, current_app, request, url_for

from app.analysis.mail.periods import Window, at
from app.concurrency import Slots
from app.protocols.report_formats.limits import LIMITS
from app.protocols.timestamps import FIRST, LAST
from app.services.api_keys import account_limits
from app.services.core import audit_log
from app.services.core.listing import Listing
from app.services.reports import exports
from app.web.base import forms, pages

EXPORT_SECONDS = 600  # after which a slot is free again if its process was killed
TIME_FILTERS = ("from", "to")
SAID: Mapping[str, str] = {
    "from": "since {}",
    "to": "before {}",
    "provenance": "reports that are {}",
    "reporter": "told by {}",
}

Parameters = dict[str, str]


@dataclass(frozen=True, slots=True)
class Filters:
    """What a list can be narrowed by, beside from and to.

    choices  the words that are allowed
    texts    what is typed; ``exact``: of these, what may begin or end with a blank
    said     how each is put into words: one text for any value, or one for each ("": any other)
    """

    choices: Mapping[str, Sequence[str]]
    texts: Sequence[str]
    said: Mapping[str, str | Mapping[str, str]]
    exact: Sequence[str] = ()

    def given(self) -> Parameters:
        """What the list is asked for; what makes no sense counts as not asked."""
        found = {name: request.args.get(name, "") for name in self.choices}
        found = {name: word for name, word in found.items() if word in self.choices[name]}
        for name in self.texts:
            text = request.args.get(name, "")[: LIMITS.field].replace("\0", "")
            found[name] = text if name in self.exact else text.strip()
        for name in TIME_FILTERS:
            moment = forms.moment(request.args.get(name, "").strip())
            found[name] = _text(moment) if moment else ""
        return {name: text for name, text in found.items() if text}

    def words(
        self, given: Parameters, to: Callable[[Parameters], str]
    ) -> Iterator[tuple[str, str]]:
        """Each of these in words, with the address (``to``) of the list without it."""
        for name in (*self.choices, *self.texts, *TIME_FILTERS):
            if value := given.get(name):
                yield self._word(name, value), to(without(given, name))

    def _word(self, name: str, value: str) -> str:
        said = self.said.get(name) or SAID[name]
        if not isinstance(said, str):
            said = said[value if value in said else ""]
        return said.format(f"{value.replace('T', ' ')} UTC" if name in TIME_FILTERS else value)


class Links:
    """Addresses of the pages with the records behind figures of a window."""

    def __init__(self, endpoint: str, domain: str, window: Window) -> None:
        self._endpoint, self._domain, self._window = endpoint, domain, window

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

    def _at(self, window: Window, filters: Mapping[str, str]) -> str:
        bounds = {"from": _text(at(window.start)), "to": _text(at(window.stop))}
        return address(self._endpoint, self._domain, {**bounds, **filters})


def address(endpoint: str, domain: str, filters: Mapping[str, Any]) -> str:
    """Where a domain's list is, with filters."""
    return url_for(endpoint, domain=domain, **filters)


def without(given: Parameters, name: str) -> Parameters:
    """All others."""
    return {key: value for key, value in given.items() if key != name}


def window(given: Parameters) -> Window:
    """The hours that are asked for."""
    from_at = forms.moment(given.get("from", "")) or FIRST
    return Window.between(from_at, forms.moment(given.get("to", "")) or LAST)


def file(
    listing: Listing,
    of: Callable[[Any], exports.Item],
    columns: Sequence[exports.Path],
    name: str,
) -> Response:
    """All of the list in a file, as the API has it: to be saved, and never shown."""
    kind = request.args.get("format", "")
    if kind not in exports.TYPES:
        abort(400, "There is no such kind of file.")
    visitor = pages.user_session()

    def start() -> Iterator[Any]:
        items = exports.iterate(listing, of)
        audit_log.record_read(
            visitor.account_id, actor=visitor.actor, action="export.created",
            target=f"{name}.{kind}", filters=_filters(),
        )  # fmt: skip
        return exports.csv_lines(columns, items) if kind == "csv" else exports.ndjson_lines(items)

    limit = account_limits.find(visitor.account_id).concurrent_exports
    slots: Slots = current_app.extensions["slots"]
    slot = slots.acquire("export", str(visitor.account_id), limit, EXPORT_SECONDS)
    body = slots.stream(slot, start)
    response = Response(body, content_type=f"{exports.TYPES[kind]}; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.{kind}"'
    return response


def _filters() -> dict[str, str]:
    return {name: text[:200] for name, text in request.args.items() if text and name != "format"}


def _text(moment: datetime) -> str:
    """As a field of a form has it."""
    return f"{moment:%Y-%m-%dT%H:%M}"
