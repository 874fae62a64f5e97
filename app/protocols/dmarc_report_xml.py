"""The XML of an aggregate report: which elements count where, read in one pass (RFC 9990 §A).

Elements are told by their local name within a namespace of DMARC or none; all others are passed
over with what is in them.
"""

import re
from collections.abc import Callable, Sized
from typing import Any, Self
from xml.parsers import expat

from app.protocols.report_limits import LIMITS, Limits, Refused

NAMESPACES = ("urn:ietf:params:xml:ns:dmarc-2.0", "http://dmarc.org/dmarc-xml/0.1")
ENCODINGS = ("utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252", "utf-16")

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

_DECLARED = re.compile(rb"""<\?xml[^>]{1,100}?\bencoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))
_BLANK = b" \t\r\n"


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


_FEEDBACK = _schema()


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
                raise Refused("repeated_element", f"a record has {key} more than once")
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
            raise Refused("too_many_results", f"a record has more than {self.limits.results}")
        group.append(found)


def read(document: bytes, on_record: Callable[[Found], None], limits: Limits = LIMITS) -> Found:
    """Read the XML, and call ``on_record`` at the end of each record.

    raises  Refused if it is not well-formed, has a DOCTYPE, costs too much, or is no report
    """
    found = Found(on_record, limits)
    document = in_utf8(document, found)
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
            raise Refused("not_well_formed", detail) from None

    @property
    def is_between(self) -> bool:
        """Whether the last tag ended a child of the root."""
        return not self._path and self._expat.CharacterDataHandler is not None


def _attend(parser: expat.XMLParserType, found: Found) -> Sized:
    """Have the parser fill ``found``; closures, for this runs for each tag.

    returns  the elements below the root that are open, without those that are passed over
    """
    path: list[_Node] = []
    node, texts, keep = _FEEDBACK, found.texts, found.fields.setdefault
    push, clear, most = path.append, texts.clear, found.limits.xml_attributes
    ends = found.ends()

    def start(name: str, attributes: list[str]) -> None:
        nonlocal node
        try:
            inner = node[name]
        except KeyError:
            _pass_over(parser, len(path) + 2, node.key, found.limits)
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
        node = path.pop() if path else _FEEDBACK

    parser.StartElementHandler = _root_handler(parser, found, start)
    parser.EndElementHandler, parser.CharacterDataHandler = end, texts.append
    return path


def _pass_over(parser: expat.XMLParserType, depth: int, key: str, limits: Limits) -> None:
    """Have the parser do nothing until the element ends that is now beginning."""
    if key:
        raise Refused("bad_value", f"{key} has elements in it")
    handlers = parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler
    outside = depth - 1

    def start(_name: str, attributes: list[str]) -> None:
        nonlocal depth
        depth += 1
        if depth > limits.xml_depth:
            raise Refused("too_deep", f"elements are nested more than {limits.xml_depth} deep")
        if attributes:
            _check_attributes(attributes, limits.xml_attributes)

    def end(_name: str) -> None:
        nonlocal depth
        depth -= 1
        if depth == outside:
            parser.StartElementHandler, parser.EndElementHandler = handlers[:2]
            parser.CharacterDataHandler = handlers[2]

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = None


def _root_handler(parser: expat.XMLParserType, found: Found, then: _Start) -> _Start:
    """What sees the root's start, and lets ``then`` see all others."""

    def start_root(name: str, attributes: list[str]) -> None:
        namespace, _, local = name.rpartition(" ")
        if local != "feedback" or namespace not in ("", *NAMESPACES):
            raise Refused("not_a_report", "the root element is not feedback")
        _check_attributes(attributes, found.limits.xml_attributes)
        found.namespace = namespace or None
        parser.StartElementHandler = then

    return start_root


def _check_attributes(attributes: list[str], most: int) -> None:
    if len(attributes) > 2 * most:  # names and values in turns
        raise Refused("too_many_attributes", f"more than {most} on one element")


def _do_nothing() -> None:
    pass


def _refuse_doctype(*_: Any) -> None:
    raise Refused("doctype", "the document has a document type declaration")


def in_utf8(document: bytes, found: Found) -> bytes:
    """The document in UTF-8, from its first ``<`` on.

    raises  Refused, also if a piece of it is so long that expat would take long
    """
    mark, encoding = next((pair for pair in MARKS if document.startswith(pair[0])), (b"", ""))
    document = document[len(mark) :]
    if not mark:
        bare = document.lstrip(_BLANK)
        if len(bare) < len(document) and bare.startswith(b"<?xml"):
            found.tolerated["there is white space before the XML declaration"] = None
        document, encoding = bare, _declared(bare, found)
    if encoding not in ("utf-8", "us-ascii"):
        try:
            document = document.decode(encoding).encode("utf-8")
        except UnicodeError:
            raise Refused("encoding", f"the document is not in {encoding}") from None
    document = document.lstrip(_BLANK)
    if len(document) > found.limits.token:
        _check_tokens(document, found.limits)
    return document


def _declared(document: bytes, found: Found) -> str:
    declaration = _DECLARED.match(document[:200])
    encoding = declaration[1].decode("ascii").lower() if declaration else "utf-8"
    if encoding == "utf-16":  # read so far as ASCII, so it cannot be
        found.tolerated["the encoding is declared as UTF-16 but is UTF-8"] = None
        return "utf-8"
    if encoding not in ENCODINGS:
        raise Refused("encoding", f"the encoding {encoding} is not read")
    return encoding


def _check_tokens(document: bytes, limits: Limits) -> None:
    """Nothing that expat would read anew with each of its buffers (before 2.6.0) is long.

    Each stretch as long as a token has a ``<``, which no tag has inside; comments and processing
    instructions may have some.
    """
    find, length = document.find, limits.token
    for start in range(0, len(document) - length, length):
        if find(b"<", start, start + length) < 0:
            raise Refused("token_too_long", f"{length} octets without a tag")
    for opening, closing in ((b"<!--", b"-->"), (b"<?", b"?>")):
        start = find(opening)
        while start >= 0:
            end = find(closing, start, start + length)
            if end < 0:
                raise Refused("token_too_long", f"{opening.decode()} is not closed soon")
            start = find(opening, end)
