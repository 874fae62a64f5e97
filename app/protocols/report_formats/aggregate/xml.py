"""The XML parser for aggregate reports, which reads a document in one pass (RFC 9990 §A).

Elements are identified by their local name in a DMARC namespace or in none; all others are skipped
with their contents.
"""

import hashlib
from collections.abc import Callable, Sized
from typing import Any, Self
from xml.parsers import expat

from app.protocols.report_formats import xml_text
from app.protocols.report_formats.aggregate.schema import (
    DOCUMENT,
    FEEDBACK,
    REASON,
    UNKNOWN,
    Node,
    is_dmarc_namespace,
)
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

# A record with one of these elements in doubt cannot be read.
FIGURES = frozenset(("source_ip", "count", "disposition", "dkim", "spf", "header_from"))
_HEAD_VALUES = frozenset(("report_id", "begin", "end", "domain"))

MAX_ERRORS = 10
_RECORD_DEPTH = 2
_PROBE = b"<?probe?>"

Group = tuple[str | None, ...]
_Start = Callable[[str, list[str]], None]


class Contents:
    """The texts of the elements read so far: of the report, and of the current record.

    fields     texts as written by key: of the current record, or of the elements before the first
    head       texts of report_metadata and policy_published
    reasons    (type, comment, text of the element itself)
    dkim, spf  (domain, selector, result) and (domain, scope, result)
    problem    the code of the reason why the current record cannot be read; "" if none
    tolerated  the codes of deviations that were tolerated
    foreign    the number of elements that look like a record of another format
    """

    __slots__ = (
        *("dkim", "errors", "fields", "foreign", "head", "lead", "limits", "namespace"),
        *("on_record", "problem", "reasons", "spf", "texts", "tolerated"),
    )

    def __init__(self, on_record: Callable[["Contents"], None], limits: Limits) -> None:
        self.on_record, self.limits = on_record, limits
        self.namespace: str | None = None
        self.fields: dict[str, str] = {}
        self.head: dict[str, str] = {}
        self.texts: list[str] = []
        self.errors: list[str] = []
        self.reasons: list[Group] = []
        self.dkim: list[Group] = []
        self.spf: list[Group] = []
        self.tolerated: dict[str, None] = {}
        self.problem, self.foreign = "", 0
        self.lead: str | None = None

    def ends(self) -> dict[str, Callable[[], None]]:
        """The handlers for end tags, by the unit that they complete."""
        return {
            "": _do_nothing,
            "head": self.end_head,
            "version": self.end_version,
            "error": self.end_error,
            "reason": self.end_reason,
            "dkim": self.end_dkim,
            "spf": self.end_spf,
            "auth_results": self.end_auth_results,
            "record": self.end_record,
        }

    def repeat(self, key: str, text: str) -> None:
        """Handle another text for a key that already has one; the first one is used."""
        if self.fields[key].strip() != text.strip():
            self._deviate(key, "repeated_element")

    def cut(self, key: str, text: str) -> str:
        """The beginning of a long text; of a long report id, with a digest of the whole id."""
        if len(text) <= (self.limits.report_id if key == "report_id" else self.limits.field):
            return text
        if key == "report_id":
            self.tolerated["report_id_shortened"] = None
            digest = hashlib.sha256("".join(self.texts).encode("utf-8", "replace")).hexdigest()
            return f"{text[: self.limits.report_id - len(digest) - 1]}-{digest}"
        self._deviate(key, "field_too_long", "text_truncated")
        return text[: self.limits.field]

    def nest(self, key: str) -> None:
        """Handle an element within a text; the text before it is used.

        raises  ReportRejected if it is a value of the report itself
        """
        if key in _HEAD_VALUES:
            raise ReportRejected("bad_value", f"{key} contains elements instead of text")
        self._deviate(key, "bad_value", "nested_markup")

    def _deviate(self, key: str, problem: str, tolerated: str = "") -> None:
        """Note a deviation: a problem of the record if it affects its figures, else a warning."""
        if key in FIGURES:
            self.problem = self.problem or problem
            if key == "count":
                self.fields["count"] = ""  # the number of messages is unknown
        else:
            self.tolerated[tolerated or problem] = None

    def end_head(self) -> None:
        """Store the texts of report_metadata or policy_published; the first value is used."""
        for key, text in self.fields.items():
            first = self.head.setdefault(key, text)
            if first is not text and first.strip() != text.strip():
                self.tolerated["repeated_element"] = None
        self.fields.clear()

    def end_version(self) -> None:
        """Store the version."""
        self.head.setdefault("version", "".join(self.texts)[: self.limits.field])

    def end_error(self) -> None:
        """Store an error that the reporter states."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append("".join(self.texts)[: self.limits.field])

    def begin_reason_child(self) -> None:
        """Store the text of a reason before its first child element."""
        if self.lead is None:
            self.lead = "".join(self.texts)

    def end_reason(self) -> None:
        """Store the reason for a policy override, which may be the text of the element itself."""
        pop = self.fields.pop
        text = "".join(self.texts) if self.lead is None else self.lead
        self.lead = None
        reason = (pop("type", None), pop("comment", None), text.strip()[: self.limits.field])
        self._add(self.reasons, reason)

    def end_dkim(self) -> None:
        """Store one DKIM result."""
        pop = self.fields.pop
        result = (pop("raw_domain", None), pop("raw_selector", None), pop("raw_result", None))
        self._add(self.dkim, result)

    def end_spf(self) -> None:
        """Store one SPF result."""
        pop = self.fields.pop
        result = (pop("raw_domain", None), pop("raw_scope", None), pop("raw_result", None))
        self._add(self.spf, result)

    def end_auth_results(self) -> None:
        """Note that auth_results is present; it may be empty."""
        self.fields["auth_results"] = ""

    def end_record(self) -> None:
        """Pass the record to ``on_record`` and start the next one."""
        self.on_record(self)
        self.fields.clear()
        self.reasons.clear()
        self.dkim.clear()
        self.spf.clear()
        self.problem = ""

    def _add(self, group: list[Group], result: Group) -> None:
        if len(group) >= self.limits.results:
            self.problem = self.problem or "too_many_results"
        else:
            group.append(result)


def read(
    document: bytes, on_record: Callable[[Contents], None], limits: Limits = LIMITS
) -> Contents:
    """The texts of the report; ``on_record`` is called at the end of each record.

    raises  ReportRejected if the XML is malformed, has a DOCTYPE, exceeds a limit or is no report
    """
    contents = Contents(on_record, limits)
    document = xml_text.in_utf8(document, limits, contents.tolerated)
    with Parser(contents) as parser:
        parser.feed(document, is_last=True)
    return contents


class Parser:
    """An expat parser that stores the element texts in ``contents``."""

    def __init__(self, contents: Contents) -> None:
        self._expat = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        self._expat.buffer_text = self._expat.ordered_attributes = True
        self._expat.buffer_size = contents.limits.token  # so that only longer texts are split
        self._expat.StartDoctypeDeclHandler = _refuse_doctype
        self._instruction = ("", "")  # the last processing instruction
        self._expat.ProcessingInstructionHandler = self._instruct
        self._path = _attend(self._expat, contents)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the handlers, which refer to the parser and would delay its collection."""
        self._expat.StartElementHandler = self._expat.EndElementHandler = None
        self._expat.CharacterDataHandler = self._expat.ProcessingInstructionHandler = None

    def feed(self, document: bytes, *, is_last: bool = False) -> None:
        """Parse the next part of the document.

        raises  ReportRejected
        """
        try:
            self._expat.Parse(document, is_last)
        except expat.ExpatError as error:
            problem = expat.ErrorString(error.code)
            detail = f"{problem} at line {error.lineno}, column {error.offset + 1}"
            raise ReportRejected("not_well_formed", detail) from None

    def is_between(self) -> bool:
        """Whether the parser is between two child elements of the root.

        It is not within a tag, a comment or the like if it recognizes a processing instruction.
        After the result False, the rest of the document cannot be parsed.

        raises  ReportRejected
        """
        self._instruction = ("", "")
        self.feed(_PROBE)
        is_outside = self._instruction == ("probe", "")
        is_read = self._expat.CharacterDataHandler is not None
        return is_outside and is_read and len(self._path) == 1

    def _instruct(self, target: str, data: str) -> None:
        self._instruction = (target, data)


def _attend(parser: expat.XMLParserType, contents: Contents) -> Sized:
    """Install handlers that fill ``contents``; closures, because they run for every tag.

    returns  the ancestors of the current element; the only one of the root is the document
    """
    path: list[Node] = []
    node, texts, keep = FEEDBACK, contents.texts, contents.fields.setdefault
    push, pop, clear, limits = path.append, path.pop, texts.clear, contents.limits
    ends, passing, longest = contents.ends(), _Passing(parser, contents), limits.report_id

    def start(name: str, attributes: list[str]) -> None:
        nonlocal node
        inner = node[name]
        if attributes:
            _check_attributes(attributes, limits.xml_attributes)
        if inner is UNKNOWN:
            passing.begin(len(path) + 1, node.key, name)
            return
        if node is REASON:
            contents.begin_reason_child()
        push(node)
        node = inner
        clear()

    def end(_name: str) -> None:
        nonlocal node
        if key := node.key:
            text = texts[0] if texts else ""
            text = text if len(text) <= longest else contents.cut(key, text)
            if keep(key, text) is not text:
                contents.repeat(key, text)
        else:
            ends[node.closes]()
        node = pop()

    parser.StartElementHandler = _root_handler(parser, contents, path, start)
    parser.EndElementHandler, parser.CharacterDataHandler = end, texts.append
    return path


class _Passing:
    """Skips unknown elements with their contents."""

    def __init__(self, parser: expat.XMLParserType, contents: Contents) -> None:
        self._parser, self._contents, self._limits = parser, contents, contents.limits
        self._handlers: tuple[Any, Any, Any] = (None, None, None)
        self._depth = self._outside = self._count = 0

    def begin(self, depth: int, key: str, name: str) -> None:
        """Skip the element that has just begun at this depth, in the element with this key."""
        if key:
            self._contents.nest(key)
        elif depth == _RECORD_DEPTH and name.rpartition(" ")[2].lower() == "record":
            self._contents.foreign += 1
        parser = self._parser
        self._outside, self._depth = depth - 1, depth - 1
        self._handlers = (
            *(parser.StartElementHandler, parser.EndElementHandler),
            parser.CharacterDataHandler,
        )
        parser.StartElementHandler, parser.EndElementHandler = self._start, self._end
        parser.CharacterDataHandler = None
        self._start("", [])

    def _start(self, _name: str, attributes: list[str]) -> None:
        self._depth += 1
        self._count += 1
        if self._depth > (most := self._limits.xml_depth):
            raise ReportRejected("too_deep", f"elements are nested more than {most} levels deep")
        if self._count > (most := self._limits.xml_passed_over):
            raise ReportRejected("too_many_elements", f"more than {most} unknown elements")
        if attributes:
            _check_attributes(attributes, self._limits.xml_attributes)

    def _end(self, _name: str) -> None:
        self._depth -= 1
        if self._depth == self._outside:
            parser = self._parser
            parser.StartElementHandler, parser.EndElementHandler = self._handlers[:2]
            parser.CharacterDataHandler = self._handlers[2]
            self._handlers = (None, None, None)


def _root_handler(
    parser: expat.XMLParserType, contents: Contents, path: list[Node], then: _Start
) -> _Start:
    """The handler for the start tag of the root, which installs ``then`` for all others."""

    def start_root(name: str, attributes: list[str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if local.lower() != "feedback" or (namespace and not is_dmarc_namespace(namespace)):
            raise ReportRejected("not_a_report", "the root element is not <feedback>")
        _check_attributes(attributes, contents.limits.xml_attributes)
        contents.namespace = namespace or None
        path.append(DOCUMENT)
        parser.StartElementHandler = then

    return start_root


def _check_attributes(attributes: list[str], most: int) -> None:
    if len(attributes) > 2 * most:  # names and values alternate
        raise ReportRejected("too_many_attributes", f"an element has more than {most} attributes")


def _do_nothing() -> None:
    pass


def _refuse_doctype(*_: Any) -> None:
    raise ReportRejected("doctype", "the document has a DOCTYPE declaration, which is not allowed")
