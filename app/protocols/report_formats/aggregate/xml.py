"""The XML parser for aggregate reports, which reads a document in one pass (RFC 9990 §A).

Elements are identified by their local name in a DMARC namespace or in none; all others are skipped
with their contents.
"""

from collections.abc import Callable, Sized
from typing import Any, Self
from xml.parsers import expat

from app.protocols.report_formats import xml_text
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

NAMESPACES = ("urn:ietf:params:xml:ns:dmarc-2.0", "http://dmarc.org/dmarc-xml/0.1")

IN_RECORD = frozenset(
    (
        *("source_ip", "count", "disposition", "dkim", "spf", "type", "comment"),
        *("header_from", "envelope_from", "envelope_to"),
        *("raw_domain", "raw_selector", "raw_result", "raw_scope"),
    )
)

MAX_ERRORS = 10

Group = tuple[str | None, ...]
_Start = Callable[[str, list[str]], None]


class _Node(dict[str, "_Node"]):
    """A known element and its known child elements.

    key     the key of its text; "" if it has no text
    closes  the unit that is complete at its end tag; "" if none
    """

    __slots__ = ("closes", "key")

    def __init__(self, key: str = "", closes: str = "") -> None:
        super().__init__()
        self.key, self.closes = key, closes

    def add(self, name: str, node: "_Node") -> "_Node":
        """Add a child element, in each of the namespaces."""
        self[name] = node
        for namespace in NAMESPACES:
            self[f"{namespace} {name}"] = node
        return node

    def leaves(self, *names: str, prefix: str = "") -> "_Node":
        """Add child elements with text, whose keys have the prefix."""
        for name in names:
            self.add(name, _Node(key=f"{prefix}{name}"))
        return self


def _schema() -> _Node:
    feedback = _Node()
    feedback.add("version", _Node(closes="version"))
    about = feedback.add("report_metadata", _Node(closes="head"))
    about.leaves("org_name", "email", "extra_contact_info", "report_id", "generator")
    about.add("error", _Node(closes="error"))  # may be repeated (RFC 7489 §C)
    about.add("date_range", _Node()).leaves("begin", "end")
    policy = feedback.add("policy_published", _Node(closes="head"))
    policy.leaves("domain", "p", "sp", "np", "adkim", "aspf", "pct", "fo", "testing")
    policy.leaves("discovery_method")
    record = feedback.add("record", _Node(closes="record"))
    row = record.add("row", _Node()).leaves("source_ip", "count")
    evaluated = row.add("policy_evaluated", _Node()).leaves("disposition", "dkim", "spf")
    evaluated.add("reason", _Node(closes="reason")).leaves("type", "comment")
    identifiers = record.add("identifiers", _Node())
    identifiers.leaves("header_from", "envelope_from", "envelope_to")
    results = record.add("auth_results", _Node(closes="auth_results"))
    results.add("dkim", _Node(closes="dkim")).leaves("domain", "selector", "result", prefix="raw_")
    results.add("spf", _Node(closes="spf")).leaves("domain", "scope", "result", prefix="raw_")
    return feedback


_FEEDBACK, _DOCUMENT = _schema(), _Node()


class Contents:
    """The texts of the elements read so far: of the report, and of the current record.

    fields   texts as written by key: of the current record, or of the elements before the first
    head     texts of report_metadata and policy_published
    reasons  (type, comment), ``dkim`` (domain, selector, result), ``spf`` (domain, scope, result)
    """

    __slots__ = (
        *("dkim", "errors", "fields", "head", "limits", "namespace", "on_record", "reasons"),
        *("spf", "texts", "tolerated"),
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
        """Handle another text for a key that already has one."""
        if self.fields[key] != text:
            if key in IN_RECORD:
                raise ReportRejected(
                    "repeated_element", f"a record has more than one {key} element"
                )
            self.tolerated[f"{key} is repeated with another value; the first value is used"] = None

    def end_head(self) -> None:
        """Store the texts of report_metadata or policy_published; the first value is used."""
        for key, text in self.fields.items():
            if self.head.setdefault(key, text) != text:
                self.tolerated[f"{key} is repeated with another value; the first value is used"] = (
                    None
                )
        self.fields.clear()

    def end_version(self) -> None:
        """Store the version."""
        self.head.setdefault("version", "".join(self.texts)[: self.limits.field])

    def end_error(self) -> None:
        """Store an error that the reporter states."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append("".join(self.texts)[: self.limits.field])

    def end_reason(self) -> None:
        """Store the reason for a policy override."""
        pop = self.fields.pop
        self._add(self.reasons, (pop("type", None), pop("comment", None)))

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

    def _add(self, group: list[Group], result: Group) -> None:
        if len(group) >= self.limits.results:
            raise ReportRejected(
                "too_many_results", f"a record has more than {self.limits.results} results"
            )
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
        self._path = _attend(self._expat, contents)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the handlers, which refer to the parser and would delay its collection."""
        self._expat.StartElementHandler = self._expat.EndElementHandler = None
        self._expat.CharacterDataHandler = None

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

    @property
    def is_between(self) -> bool:
        """Whether the parser is between two child elements of the root."""
        return len(self._path) == 1 and self._expat.CharacterDataHandler is not None


def _attend(parser: expat.XMLParserType, contents: Contents) -> Sized:
    """Install handlers that fill ``contents``; closures, because they run for every tag.

    returns  the ancestors of the current element; the only one of the root is the document
    """
    path: list[_Node] = []
    node, texts, keep = _FEEDBACK, contents.texts, contents.fields.setdefault
    push, pop, clear, most = path.append, path.pop, texts.clear, contents.limits.xml_attributes
    ends, passing = contents.ends(), _Passing(parser, contents.limits)

    def start(name: str, attributes: list[str]) -> None:
        nonlocal node
        try:
            inner = node[name]
        except KeyError:
            passing.begin(len(path) + 1, node.key)
        else:
            push(node)
            node = inner
            clear()
        if attributes:
            _check_attributes(attributes, most)

    def end(_name: str) -> None:
        nonlocal node
        if key := node.key:
            text = texts[0] if texts else ""
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

    def __init__(self, parser: expat.XMLParserType, limits: Limits) -> None:
        self._parser, self._limits = parser, limits
        self._handlers: tuple[Any, Any, Any] = (None, None, None)
        self._depth = self._outside = self._count = 0

    def begin(self, depth: int, key: str) -> None:
        """Skip the element that has just begun at this depth."""
        if key:
            raise ReportRejected("bad_value", f"{key} contains elements instead of text")
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
    parser: expat.XMLParserType, contents: Contents, path: list[_Node], then: _Start
) -> _Start:
    """The handler for the start tag of the root, which installs ``then`` for all others."""

    def start_root(name: str, attributes: list[str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if local != "feedback" or namespace not in ("", *NAMESPACES):
            raise ReportRejected("not_a_report", "the root element is not <feedback>")
        _check_attributes(attributes, contents.limits.xml_attributes)
        contents.namespace = namespace or None
        path.append(_DOCUMENT)
        parser.StartElementHandler = then

    return start_root


def _check_attributes(attributes: list[str], most: int) -> None:
    if len(attributes) > 2 * most:  # names and values alternate
        raise ReportRejected("too_many_attributes", f"an element has more than {most} attributes")


def _do_nothing() -> None:
    pass


def _refuse_doctype(*_: Any) -> None:
    raise ReportRejected("doctype", "the document has a DOCTYPE declaration, which is not allowed")
