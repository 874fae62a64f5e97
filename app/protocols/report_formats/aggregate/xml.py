"""The XML of an aggregate report: which elements count where, read in one pass (RFC 9990 §A).

Elements are told by their local name within a namespace of DMARC or none; all others are passed
over with what is in them.
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
    """An element that counts, with those that count in it.

    key     under which its text is kept; "" if it has none
    closes  what is complete at its end; "" if nothing is
    """

    __slots__ = ("closes", "key")

    def __init__(self, key: str = "", closes: str = "") -> None:
        super().__init__()
        self.key, self.closes = key, closes

    def add(self, name: str, node: "_Node") -> "_Node":
        """Let it count here, in each of the namespaces."""
        self[name] = node
        for namespace in NAMESPACES:
            self[f"{namespace} {name}"] = node
        return node

    def leaves(self, *names: str, prefix: str = "") -> "_Node":
        """Let elements with text count here; their keys have the prefix."""
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


class Found:
    """What is between the tags: of the report once, of each record until the next one.

    fields   of the record at hand, or of what stands before the first: texts as written, by key
    head     of report_metadata and policy_published
    reasons  (type, comment), ``dkim`` (domain, selector, result), ``spf`` (domain, scope, result)
    """

    __slots__ = (
        *("dkim", "errors", "fields", "head", "limits", "namespace", "on_record", "reasons"),
        *("spf", "texts", "tolerated"),
    )

    def __init__(self, on_record: Callable[["Found"], None], limits: Limits) -> None:
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
        """What is to be done at the end of an element, by what it completes."""
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
        """Take note of one more text for a key that has one already."""
        if self.fields[key] != text:
            if key in IN_RECORD:
                raise ReportRejected("repeated_element", f"a record has {key} more than once")
            self.tolerated[f"{key} is repeated; the first one counts"] = None

    def end_head(self) -> None:
        """Keep what report_metadata or policy_published said; the first of each counts."""
        for key, text in self.fields.items():
            if self.head.setdefault(key, text) != text:
                self.tolerated[f"{key} is repeated; the first one counts"] = None
        self.fields.clear()

    def end_version(self) -> None:
        """Keep the version, wherever it stands."""
        self.head.setdefault("version", "".join(self.texts)[: self.limits.field])

    def end_error(self) -> None:
        """Keep what went wrong at the reporter's."""
        if len(self.errors) < MAX_ERRORS:
            self.errors.append("".join(self.texts)[: self.limits.field])

    def end_reason(self) -> None:
        """Keep why the policy was overridden."""
        pop = self.fields.pop
        self._add(self.reasons, (pop("type", None), pop("comment", None)))

    def end_dkim(self) -> None:
        """Keep one DKIM result."""
        pop = self.fields.pop
        found = (pop("raw_domain", None), pop("raw_selector", None), pop("raw_result", None))
        self._add(self.dkim, found)

    def end_spf(self) -> None:
        """Keep one SPF result."""
        pop = self.fields.pop
        found = (pop("raw_domain", None), pop("raw_scope", None), pop("raw_result", None))
        self._add(self.spf, found)

    def end_auth_results(self) -> None:
        """Note that there were any, for they may be empty."""
        self.fields["auth_results"] = ""

    def end_record(self) -> None:
        """Hand the record over, and forget it."""
        self.on_record(self)
        self.fields.clear()
        self.reasons.clear()
        self.dkim.clear()
        self.spf.clear()

    def _add(self, group: list[Group], found: Group) -> None:
        if len(group) >= self.limits.results:
            raise ReportRejected(
                "too_many_results", f"a record has more than {self.limits.results}"
            )
        group.append(found)


def read(document: bytes, on_record: Callable[[Found], None], limits: Limits = LIMITS) -> Found:
    """Read the XML, and call ``on_record`` at the end of each record.

    raises  Refused if it is not well-formed, has a DOCTYPE, costs too much, or is no report
    """
    found = Found(on_record, limits)
    document = xml_text.in_utf8(document, limits, found.tolerated)
    with Parser(found) as parser:
        parser.feed(document, is_last=True)
    return found


class Parser:
    """Expat, which fills what is found with what it is fed."""

    def __init__(self, found: Found) -> None:
        self._expat = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
        self._expat.buffer_text = self._expat.ordered_attributes = True
        self._expat.buffer_size = found.limits.token  # so that no text is in pieces but a longer
        self._expat.StartDoctypeDeclHandler = _refuse_doctype
        self._path = _attend(self._expat, found)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Forget the handlers: they know expat, so that both would stay for long."""
        self._expat.StartElementHandler = self._expat.EndElementHandler = None
        self._expat.CharacterDataHandler = None

    def feed(self, document: bytes, *, is_last: bool = False) -> None:
        """Read on.

        raises  Refused
        """
        try:
            self._expat.Parse(document, is_last)
        except expat.ExpatError as error:
            problem = expat.ErrorString(error.code)
            detail = f"{problem} in line {error.lineno}, column {error.offset + 1}"
            raise ReportRejected("not_well_formed", detail) from None

    @property
    def is_between(self) -> bool:
        """Whether the root is open, and nothing in it."""
        return len(self._path) == 1 and self._expat.CharacterDataHandler is not None


def _attend(parser: expat.XMLParserType, found: Found) -> Sized:
    """Have the parser fill ``found``; closures, for this runs for each tag.

    returns  what is around the element at hand; nothing is around the root but the document
    """
    path: list[_Node] = []
    node, texts, keep = _FEEDBACK, found.texts, found.fields.setdefault
    push, pop, clear, most = path.append, path.pop, texts.clear, found.limits.xml_attributes
    ends, passing = found.ends(), _Passing(parser, found.limits)

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
                found.repeat(key, text)
        else:
            ends[node.closes]()
        node = pop()

    parser.StartElementHandler = _root_handler(parser, found, path, start)
    parser.EndElementHandler, parser.CharacterDataHandler = end, texts.append
    return path


class _Passing:
    """Has the parser do nothing from the beginning of an element to its end."""

    def __init__(self, parser: expat.XMLParserType, limits: Limits) -> None:
        self._parser, self._limits = parser, limits
        self._handlers: tuple[Any, Any, Any] = (None, None, None)
        self._depth = self._outside = self._count = 0

    def begin(self, depth: int, key: str) -> None:
        """Pass over the element that has begun so deep in the document."""
        if key:
            raise ReportRejected("bad_value", f"{key} has elements in it")
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
            raise ReportRejected("too_deep", f"elements are nested more than {most} deep")
        if self._count > (most := self._limits.xml_passed_over):
            raise ReportRejected("too_many_elements", f"more than {most} that mean nothing here")
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
    parser: expat.XMLParserType, found: Found, path: list[_Node], then: _Start
) -> _Start:
    """What sees the root's start, and lets ``then`` see all others."""

    def start_root(name: str, attributes: list[str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if local != "feedback" or namespace not in ("", *NAMESPACES):
            raise ReportRejected("not_a_report", "the root element is not feedback")
        _check_attributes(attributes, found.limits.xml_attributes)
        found.namespace = namespace or None
        path.append(_DOCUMENT)
        parser.StartElementHandler = then

    return start_root


def _check_attributes(attributes: list[str], most: int) -> None:
    if len(attributes) > 2 * most:  # names and values in turns
        raise ReportRejected("too_many_attributes", f"more than {most} on one element")


def _do_nothing() -> None:
    pass


def _refuse_doctype(*_: Any) -> None:
    raise ReportRejected("doctype", "the document has a document type declaration")
