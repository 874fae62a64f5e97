"""The pages of docs/api: the description and the parameters of each operation.

They are the one source of these texts for readers of the repository, for the OpenAPI document, and
for the reference of a running service.
"""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[3] / "docs" / "api"
INDEX = "README.md"

_PAGE = re.compile(r"^\| \[([^]]+)\]\(([\w-]+)\.md\) \| ([^|]*) \|", re.MULTILINE)
_ROUTE = re.compile(r"(GET|POST|PATCH|PUT|DELETE) (/\S+)\n")
_ROW = re.compile(r"^\| (`[^|]*`)(?: \(required\))? \| ([^\n]*) \|$", re.MULTILINE)
_LINK = re.compile(r"\[([^][]+)\]\([^()]*\)")
_JSON = re.compile(r"```json\n(.*?)```", re.DOTALL)

Operation = tuple[str, str]  # method and path


@dataclass(frozen=True, slots=True)
class Page:
    """A page about one resource.

    slug     the name of the file without its suffix
    summary  what the index says about the page
    """

    title: str
    slug: str
    summary: str
    text: str

    @property
    def introduction(self) -> str:
        """The first paragraphs, up to a heading, a table or a block of code."""
        return _prose(self.text.partition("\n")[2])


@dataclass(frozen=True, slots=True)
class Section:
    """The documentation of one operation.

    description  its first paragraphs as plain text with code in back quotes
    parameters   the description of each parameter and of each field of the body
    json         the blocks of JSON
    """

    page: Page
    description: str
    parameters: Mapping[str, str]
    json: tuple[str, ...]


@functools.cache
def pages() -> tuple[Page, ...]:
    """Return the pages of resources in the order of the index."""
    rows = _PAGE.findall((FOLDER / INDEX).read_text())
    return tuple(
        Page(
            title=title,
            slug=slug,
            summary=summary.strip(),
            text=(FOLDER / f"{slug}.md").read_text(),
        )
        for title, slug, summary in rows
        if f"{slug}.md" != INDEX
    )


@functools.cache
def sections() -> Mapping[Operation, Section]:
    """Return the documentation of each operation."""
    return dict(section for page in pages() for section in _sections(page))


def section(operation: Operation) -> Section:
    """Return the documentation of the operation.

    raises  LookupError if docs/api does not have it
    """
    try:
        return sections()[operation]
    except KeyError:
        raise LookupError(f"document {' '.join(operation)} in docs/api") from None


def event_types() -> Mapping[str, str]:
    """Return the types of events, with the sentence that says when each is sent."""
    [text] = [page.text for page in pages() if page.slug == "events"]
    table = text.partition("\n### ")[0]
    return {name.strip("`"): plain(when) for name, when in _ROW.findall(table)}


def plain(text: str) -> str:
    """Return Markdown without links and line breaks within paragraphs."""
    paragraphs = _LINK.sub(r"\1", text).strip().split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _sections(page: Page) -> Iterator[tuple[Operation, Section]]:
    introduction, *parts = page.text.split("\n### ")
    common = _parameters(introduction)
    for part in parts:
        route = _ROUTE.match(part)
        if route is None:
            continue
        body = part[route.end() :].partition("\nScope: ")[2].partition("\n")[2]
        section = Section(
            page=page,
            description=_prose(body.partition("\n## ")[0]),
            parameters={**common, **_parameters(part)},
            json=tuple(_JSON.findall(part)),
        )
        yield (route[1], route[2]), section


def _prose(text: str) -> str:
    """Return the paragraphs before the first table, block of code, list or heading."""
    paragraphs = []
    for paragraph in text.strip().split("\n\n"):
        if paragraph.lstrip().startswith(("|", "```", "<!--", "#", "- ", "→")):
            break
        paragraphs.append(paragraph)
    return plain("\n\n".join(paragraphs)).removesuffix(":")


def _parameters(text: str) -> Mapping[str, str]:
    return {
        name: plain(description)
        for names, description in _ROW.findall(text)
        for name in re.findall(r"`(\w+)`", names)
    }
