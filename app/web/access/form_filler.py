"""Fills a form of one of our own pages with what a user has entered before."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlsplit

Values = Mapping[str, Sequence[str]]  # by the names of fields
_FILLED = frozenset({"", "text", "search", "email", "url", "number", "date", "datetime-local"})
_SWITCHES = frozenset({"checkbox", "radio"})


class Edit(NamedTuple):
    """The part of the page from ``start`` to ``end``, and what replaces it."""

    start: int
    end: int
    text: str


@dataclass(slots=True)
class Element:
    """A start tag with its position; ``content_end`` is where the text of a text area ends."""

    tag: str
    attributes: Mapping[str, str | None]
    start: int
    end: int
    content_end: int = 0
    select_name: str = ""

    @property
    def name(self) -> str:
        """The name of the field."""
        return self.attributes.get("name") or ""

    @property
    def value(self) -> str:
        """The value of the field."""
        return self.attributes.get("value") or ""


@dataclass(slots=True)
class FormElement:
    """A form with its fields and options, and the ``details`` around it."""

    action: str
    fields: list[Element] = field(default_factory=list)
    details: list[Element] = field(default_factory=list)

    def matches(self, values: Values) -> int:
        """Return how many fields have an entered value, minus the hidden fields with another."""
        matches = 0
        for item in self.fields:
            if item.name in values:
                is_fixed = item.attributes.get("type") == "hidden"
                matches += -1 if is_fixed and item.value not in values[item.name] else 1
        return matches


def fill(page: str, path: str, action: str, values: Values) -> str:
    """Return the page, with the values in its form; unchanged if it has no such form.

    path    that of the page, which is the action of forms without one
    action  the path that the form is sent to
    """
    reader = _Reader(page, path)
    reader.feed(page)
    forms = [form for form in reader.forms if form.action == action]
    if not forms:
        return page
    form = max(forms, key=lambda item: item.matches(values))
    edits = [*_opened(form.details), *_filled(form.fields, values)]
    for edit in sorted(edits, reverse=True):
        page = page[: edit.start] + edit.text + page[edit.end :]
    return page


class _Reader(HTMLParser):
    """Collects the forms of a page."""

    def __init__(self, page: str, path: str) -> None:
        super().__init__(convert_charrefs=True)
        self.forms: list[FormElement] = []
        self._path = path
        self._form: FormElement | None = None
        self._details: list[Element] = []
        self._select = ""
        self._area: Element | None = None
        self._lines = [0]
        for line in page.split("\n"):
            self._lines.append(self._lines[-1] + len(line) + 1)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        start = self._position()
        end = start + len(self.get_starttag_text() or "")
        element = Element(tag=tag, attributes=dict(attrs), start=start, end=end)
        if tag == "details":
            self._details.append(element)
        elif tag == "form":
            action = urlsplit(element.attributes.get("action") or self._path).path
            self._form = FormElement(action, details=list(self._details))
            self.forms.append(self._form)
        elif self._form is not None and tag in ("input", "textarea", "select", "option", "button"):
            if tag == "select":
                self._select = element.name
            elif tag == "textarea":
                self._area = element
            element.select_name = self._select if tag == "option" else ""
            self._form.fields.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self._form = None
        elif tag == "details" and self._details:
            self._details.pop()
        elif tag == "select":
            self._select = ""
        elif tag == "textarea" and self._area is not None:
            self._area.content_end, self._area = self._position(), None

    def _position(self) -> int:
        line, column = self.getpos()
        return self._lines[line - 1] + column


def _opened(details: Sequence[Element]) -> Iterator[Edit]:
    for element in details:
        if "open" not in element.attributes:
            yield _with(element, {**element.attributes, "open": None})


def _filled(fields: Sequence[Element], values: Values) -> Iterator[Edit]:
    remaining = {name: list(texts) for name, texts in values.items()}
    for element in fields:
        kind = (element.attributes.get("type") or "").lower()
        if element.tag == "input" and kind in _SWITCHES:
            yield _switched(element, "checked", element.value in values.get(element.name, ()))
        elif element.tag == "option" and element.select_name in values:
            yield _switched(element, "selected", element.value in values[element.select_name])
        elif element.tag == "input" and kind in _FILLED and remaining.get(element.name):
            value = remaining[element.name].pop(0)
            yield _with(element, {**element.attributes, "value": value})
        elif element.tag == "textarea" and remaining.get(element.name):
            text = escape(remaining[element.name].pop(0))
            yield Edit(element.end, max(element.end, element.content_end), f"\n{text}")


def _switched(element: Element, attribute: str, is_on: bool) -> Edit:
    attributes = {name: text for name, text in element.attributes.items() if name != attribute}
    return _with(element, {**attributes, **({attribute: None} if is_on else {})})


def _with(element: Element, attributes: Mapping[str, str | None]) -> Edit:
    parts = [
        f" {name}" if text is None else f' {name}="{escape(text)}"'
        for name, text in attributes.items()
    ]
    return Edit(element.start, element.end, f"<{element.tag}{''.join(parts)}>")
