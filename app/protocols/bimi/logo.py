"""Logos for BIMI: whether a file is SVG Tiny PS and square (draft-svg-tiny-ps-abrotman)."""

import re
import zlib
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import NoReturn
from xml.parsers import expat

MAX_BYTES = 32 * 1024  # the size that receivers recommend, uncompressed
_MAX_READ = 256 * 1024  # a larger file is not parsed
_GZIP = b"\x1f\x8b"

_SVG = "http://www.w3.org/2000/svg"
_METADATA = f"{_SVG} metadata"
_XLINK, _XML = "http://www.w3.org/1999/xlink", "http://www.w3.org/XML/1998/namespace"

_SCRIPTING = frozenset(("script", "handler", "listener"))
_ANIMATION = frozenset(
    ("animate", "animateColor", "animateMotion", "animateTransform", "animation", "mpath", "set")
)
# The elements of SVG Tiny 1.2 that Tiny PS allows: no scripts, animation, media, links or foreign
# content.
_ALLOWED = frozenset(
    (
        *("svg", "title", "desc", "metadata", "defs", "g", "use", "switch"),
        *("path", "rect", "circle", "ellipse", "line", "polyline", "polygon"),
        *("text", "tspan", "textArea", "tbreak"),
        *("linearGradient", "radialGradient", "stop", "solidColor"),
        *("font", "font-face", "font-face-src", "font-face-name"),
        *("glyph", "missing-glyph", "hkern"),
    )
)
_FOREIGN_URL = re.compile(r"url\([\s'\"]*(?![\s'\"#])", re.IGNORECASE)
_NUMBER = r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?"
_LENGTH = re.compile(rf"\s*({_NUMBER})\s*(?:([a-z]+)\s*)?", re.ASCII)
_VIEW_BOX = re.compile(
    rf"\s*{_NUMBER}[\s,]+{_NUMBER}[\s,]+({_NUMBER})[\s,]+({_NUMBER})\s*", re.ASCII
)


class Problem(StrEnum):
    """Why receivers may not show a logo; the value is its code, ``reason`` is for people."""

    TOO_LARGE = "too_large"
    NOT_XML = "not_xml"
    DOCTYPE = "doctype"
    NOT_SVG = "not_svg"
    VERSION = "version"
    BASE_PROFILE = "base_profile"
    POSITION = "position"
    NOT_SQUARE = "not_square"
    NO_TITLE = "no_title"
    SCRIPT = "script"
    ANIMATION = "animation"
    RASTER_IMAGE = "raster_image"
    EXTERNAL_REFERENCE = "external_reference"
    STYLE_SHEET = "style_sheet"
    ELEMENT = "element"
    FOREIGN = "foreign"

    @property
    def reason(self) -> str:
        """The problem in one sentence for people."""
        return _REASONS[self]


_REASONS: Mapping[Problem, str] = {
    Problem.TOO_LARGE: "The logo is larger than 32 KiB",
    Problem.NOT_XML: "The file is not well-formed XML",
    Problem.DOCTYPE: "The file has a DOCTYPE declaration, which SVG Tiny PS does not allow",
    Problem.NOT_SVG: "The root element is not <svg>",
    Problem.VERSION: 'The <svg> element lacks version="1.2"',
    Problem.BASE_PROFILE: 'The <svg> element lacks baseProfile="tiny-ps"',
    Problem.POSITION: "The <svg> element has an x or y attribute",
    Problem.NOT_SQUARE: "The logo is not square or does not declare its size",
    Problem.NO_TITLE: "The <svg> element has no <title>",
    Problem.SCRIPT: "The logo contains a script or an event handler",
    Problem.ANIMATION: "The logo is animated",
    Problem.RASTER_IMAGE: "The logo contains a raster image",
    Problem.EXTERNAL_REFERENCE: "The logo refers to an external resource",
    Problem.STYLE_SHEET: "The logo contains a style sheet or a style attribute",
    Problem.ELEMENT: "The logo contains an element that SVG Tiny PS does not allow",
    Problem.FOREIGN: "The logo contains elements or attributes of another namespace",
}


def problems(svg: bytes) -> tuple[Problem, ...]:
    """The problems of the logo; empty if receivers can show it.

    svg      the file as fetched, plain or gzipped (.svgz); any bytes are accepted
    returns  each problem once, in the order of ``Problem``
    source   draft-svg-tiny-ps-abrotman-12 §2; receivers' guidance for size and shape
    """
    content = plain(svg)
    if content is None:
        return (Problem.NOT_XML,)
    if len(content) > _MAX_READ:
        return (Problem.TOO_LARGE,)
    matches = _found(content)
    if len(content) > MAX_BYTES:
        matches.add(Problem.TOO_LARGE)
    return tuple(problem for problem in Problem if problem in matches)


def plain(svg: bytes) -> bytes | None:
    """The file without gzip compression, inflated only until it is known to be too large.

    returns  None if the file begins like gzip but cannot be inflated
    """
    if not svg.startswith(_GZIP):
        return svg
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(svg, _MAX_READ + 1)
    except zlib.error:
        return None


def _found(content: bytes) -> set[Problem]:
    reader = _Reader()
    try:
        reader.read(content)
    except _DoctypeMet:
        return {Problem.DOCTYPE}
    except (
        expat.ExpatError,
        ValueError,
        LookupError,
    ):  # the last two: an unknown or wrong encoding
        return {Problem.NOT_XML}
    if Problem.NOT_SVG in reader.problems:
        return {Problem.NOT_SVG}
    if not reader.has_title:
        reader.problems.add(Problem.NO_TITLE)
    return reader.problems


class _DoctypeMet(Exception):
    """Stops the parser at a DOCTYPE: without one there are no entities that could expand."""


class _Reader:
    """Reads the elements and collects their problems."""

    def __init__(self) -> None:
        self.problems: set[Problem] = set()
        self.has_title = False
        self._open: list[str] = []
        self._metadata = 0  # open <metadata> elements; other namespaces are allowed inside them

    def read(self, content: bytes) -> None:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.StartDoctypeDeclHandler = self._doctype
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.ProcessingInstructionHandler = self._instruction
        parser.Parse(content, True)

    def _doctype(self, *_: object) -> NoReturn:
        raise _DoctypeMet

    def _instruction(self, target: str, _: str) -> None:
        if target == "xml-stylesheet":
            self.problems |= {Problem.STYLE_SHEET, Problem.EXTERNAL_REFERENCE}

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if not self._open:
            self.problems.update(_root_problems(namespace, local, attributes))
        if namespace == _SVG:
            self.problems.update(_element_problems(local))
        elif not self._metadata:
            self.problems.add(Problem.FOREIGN)
        for attribute, value in attributes.items():
            self.problems.update(_attribute_problems(attribute, value))
        self._open.append(name)
        self._metadata += name == _METADATA

    def _end(self, name: str) -> None:
        self._open.pop()
        self._metadata -= name == _METADATA

    def _text(self, text: str) -> None:
        if len(self._open) == 2 and self._open[1] == f"{_SVG} title" and text.strip():
            self.has_title = True


def _element_problems(local: str) -> Iterable[Problem]:
    if local in _ALLOWED:
        return
    if local in _SCRIPTING:
        yield Problem.SCRIPT
    elif local in _ANIMATION:
        yield Problem.ANIMATION
    elif local == "image":
        yield Problem.RASTER_IMAGE
    elif local == "style":
        yield Problem.STYLE_SHEET
    else:
        yield Problem.ELEMENT


def _attribute_problems(name: str, value: str) -> Iterable[Problem]:
    namespace, _, local = name.rpartition(" ")
    if namespace not in ("", _XLINK, _XML):
        yield Problem.FOREIGN
    if local.lower().startswith("on") and not namespace:
        yield Problem.SCRIPT
    if local == "style":
        yield Problem.STYLE_SHEET
    if local in ("href", "src") and not value.lstrip().startswith("#"):
        yield Problem.EXTERNAL_REFERENCE
    if _FOREIGN_URL.search(value):
        yield Problem.EXTERNAL_REFERENCE


def _root_problems(namespace: str, local: str, attributes: Mapping[str, str]) -> Iterable[Problem]:
    if (namespace, local) != (_SVG, "svg"):
        yield Problem.NOT_SVG
    if attributes.get("version") != "1.2":
        yield Problem.VERSION
    if attributes.get("baseProfile") != "tiny-ps":
        yield Problem.BASE_PROFILE
    if "x" in attributes or "y" in attributes:
        yield Problem.POSITION
    if not _is_square(attributes):
        yield Problem.NOT_SQUARE


def _is_square(attributes: Mapping[str, str]) -> bool:
    """Whether viewBox and width/height, where present, are square; at least one must be present."""
    box = _VIEW_BOX.fullmatch(attributes.get("viewBox", ""))
    width = _LENGTH.fullmatch(attributes.get("width", ""))
    height = _LENGTH.fullmatch(attributes.get("height", ""))
    answers = []
    if box:
        answers.append(float(box[1]) == float(box[2]) > 0)
    if width and height:
        answers.append(float(width[1]) == float(height[1]) > 0 and width[2] == height[2])
    return bool(answers) and all(answers)
