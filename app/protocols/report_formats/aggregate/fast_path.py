"""The fast path for aggregate reports: parts in the usual layout are read without an XML parser.

A record is read this way if one regular expression matches it and its parts have only white
space and elements with text; repeated parts are read once. The result is exact: such a record is
well-formed by itself, its texts contain no XML markup, and records are allowed at this position:
after a head in the usual layout, or else the parser has confirmed that it is not within a tag, a
comment or the like. Everything else, such as a record in another layout, goes to the parser. A
document that has only usual parts needs no parser at all.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from app.protocols.report_formats import xml_text
from app.protocols.report_formats.aggregate.records import (
    SKIPPABLE,
    Evaluated,
    Identifiers,
    Records,
    Results,
    maker,
)
from app.protocols.report_formats.aggregate.schema import FEEDBACK, NAMESPACES, Node
from app.protocols.report_formats.aggregate.xml import Contents, Parser
from app.protocols.report_formats.limits import LIMITS, Limits, ReportRejected

MAX_FALLBACKS = 16  # records in another layout that are tolerated on the fast path
MAX_PART, MAX_KNOWN = 1_000, 5_000  # bytes of a cached part, and number of cached parts

_END = b"</record>"
_BLANK = rb"[ \t\r\n]*"
# Bounded and unambiguous, so that a failed match costs no more than a successful one. (Possessive
# quantifiers would express this, but are broken in the Python 3.11 of Debian.)
_PART = rb"([^<]*(?:<(?!/%s)[^<]*){0,200})</%s>"
_RECORD = re.compile(
    _BLANK.join(
        (
            *(b"", rb"<record>", rb"<row>", rb"<source_ip>([0-9A-Fa-f:.]{2,45})</source_ip>"),
            *(
                rb"<count>([0-9]{1,13})</count>",
                rb"<policy_evaluated>" + _PART % ((b"policy_evaluated",) * 2),
            ),
            *(rb"</row>", rb"<identifiers>" + _PART % ((b"identifiers",) * 2)),
            *(rb"<auth_results>" + _PART % ((b"auth_results",) * 2), rb"</record>"),
        )
    )
)
_NAMESPACES = b"|".join(re.escape(namespace.encode()) for namespace in NAMESPACES)
_MICROSOFT = re.escape(  # declared by its serializer, and not used
    b' xmlns:xsd="http://www.w3.org/2001/XMLSchema"'
    b' xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
)
_HEAD = re.compile(
    _BLANK.join(
        (
            rb'(?:<\?xml version="1\.0"(?: encoding="[A-Za-z][A-Za-z0-9._-]{0,39}")? ?\?>)?',
            rb'<feedback(?: xmlns="(%s)"|%s)?>' % (_NAMESPACES, _MICROSOFT),
            rb"(?:<version>([0-9.]{1,10})</version>%s)?<report_metadata>" % _BLANK
            + _PART % ((b"report_metadata",) * 2),
            rb"<policy_published>" + _PART % ((b"policy_published",) * 2),
        )
    )
)
_TAIL = re.compile(_BLANK + rb"</feedback>" + _BLANK + rb"\Z")
_TOKEN = re.compile(  # an element with text, a start or end tag of a group, or anything else
    rb"<([a-z_]{1,30})(?:/>|>([^<>&\x00-\x08\x0b-\x1f]*)</\1>)"
    rb"|<(/?(?:date_range|dkim|spf|reason))>|([^ \t\r\n])"
)
_NO_CHARACTERS = re.compile(rb"\xef\xbf[\xbe\xbf]")


def _texts_of(node: Node) -> frozenset[str]:
    """The names of the child elements with text."""
    return frozenset(name for name, child in node.plain.items() if child.key)


_METADATA, _POLICY = FEEDBACK["report_metadata"], FEEDBACK["policy_published"]
_METADATA_TEXTS, _POLICY_TEXTS = _texts_of(_METADATA), _texts_of(_POLICY)
_DATES = _texts_of(_METADATA["date_range"])

Made = TypeVar("Made")
Texts = dict[str, str]
Groups = list[tuple[str, Texts]]


class NotSupported(ValueError):
    """The document uses another layout, which only the XML parser can read."""


class _Parts(dict[bytes, Made], Generic[Made]):
    """A cache of the values of record parts, by their raw text."""

    def __init__(self, make: Callable[[Texts, Groups], Made]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, part: bytes) -> Made:
        made = self._make(*_split(part))
        if len(part) <= MAX_PART:
            self[part] = made
        if len(self) > MAX_KNOWN:
            self.clear()
        return made


class _Template:
    """The caches of this process, one for each kind of part."""

    def __init__(self, limits: Limits) -> None:
        self._make = maker(limits)
        self.evaluated = _Parts(self._evaluated)
        self.identifiers = _Parts(self._identifiers)
        self.results = _Parts(self._results)
        self.policies = _Parts(self._policy)
        self._max_text = limits.report_id

    def metadata(self, part: bytes) -> Texts:
        """The texts in report_metadata.

        raises  NotSupported
        """
        texts, groups = _split(part)
        for name, dates in groups:
            if name != "date_range" or not dates.keys() <= _DATES or len(groups) > 1:
                raise NotSupported
        self._check(texts, _METADATA_TEXTS)
        return {**texts, **groups[0][1]} if groups else texts

    def _policy(self, texts: Texts, groups: Groups) -> Texts:
        if groups:
            raise NotSupported
        self._check(texts, _POLICY_TEXTS)
        return texts

    def _check(self, texts: Texts, names: frozenset[str]) -> None:
        if not texts.keys() <= names or any(len(text) > self._max_text for text in texts.values()):
            raise NotSupported

    def _evaluated(self, texts: Texts, groups: Groups) -> Evaluated:
        reasons = [(group.get("type"), group.get("comment"), None) for _, group in groups]
        if any(name != "reason" for name, _ in groups) or texts.get("reason", "").strip():
            raise NotSupported
        return self._make.evaluated(texts, reasons)

    def _identifiers(self, texts: Texts, groups: Groups) -> Identifiers:
        if groups:
            raise NotSupported
        return self._make.identifiers(texts)

    def _results(self, texts: Texts, groups: Groups) -> Results:
        if texts or any(name == "reason" for name, _ in groups):
            raise NotSupported
        dkim = [group for name, group in groups if name == "dkim"]
        spf = [group for name, group in groups if name == "spf"]
        return self._make.results(
            [(of.get("domain"), of.get("selector"), of.get("result")) for of in dkim],
            [(of.get("domain"), of.get("scope"), of.get("result")) for of in spf],
        )


_templates = lru_cache(maxsize=1)(_Template)


class FastReader:
    """Reads the head of a document, and adds its records to ``records``, in the usual layout."""

    def __init__(self, records: Records, limits: Limits) -> None:
        self._records, self._known = records, _templates(limits)

    def read_head(self, document: bytes, contents: Contents) -> int:
        """Store the texts before the records in ``contents``; returns their end.

        It returns 0 and stores nothing if they are not in the usual layout.
        """
        if (head := _HEAD.match(document)) is None:
            return 0
        namespace, version, metadata, policy = head.groups()
        try:
            texts = self._known.metadata(metadata) | self._known.policies[policy]
        except (NotSupported, UnicodeDecodeError):
            return 0
        contents.head.update(texts)
        contents.namespace = namespace.decode() if namespace else None
        if version:
            contents.head["version"] = version.decode()
        return head.end()

    def max_unusual(self) -> int:
        """How many records in another layout are tolerated, considering those read so far."""
        return MAX_FALLBACKS + len(self._records.all) // 2

    def read(self, document: bytes, begin: int) -> int:
        """Add the consecutive records in the usual layout from ``begin`` on; returns their end."""
        match, append, parts = _RECORD.match, self._records.append, self._known
        while record := match(document, begin):
            source_ip, count, evaluated, identifiers, results = record.groups()
            try:
                append(
                    source_ip.decode(),
                    int(count),
                    parts.evaluated[evaluated],
                    parts.identifiers[identifiers],
                    parts.results[results],
                )
            except (NotSupported, UnicodeDecodeError, KeyError):
                break
            except ReportRejected as rejected:
                if rejected.reason not in SKIPPABLE:
                    raise
                break
            begin = record.end()
        return begin


def read(document: bytes, records: Records, limits: Limits = LIMITS) -> Contents:
    """The same as ``dmarc_report_xml.read``, with the records added to ``records``.

    raises  NotSupported or ReportRejected; the XML parser then decides whether the report is valid
    """
    contents = Contents(records.add, limits)
    document = xml_text.in_utf8(document, limits, contents.tolerated)
    usual, end = FastReader(records, limits), 0
    if head := usual.read_head(document, contents):
        end = usual.read(document, head)
        if _TAIL.match(document, end):
            return contents
    with Parser(contents) as parser:
        _read_with(parser, document, usual, end)
    return contents


def _read_with(parser: Parser, document: bytes, usual: FastReader, read: int) -> None:
    """Read the document with the parser, except for records in the usual layout.

    read  the end of the records that were read already
    """
    end, begin, unusual = 0, max(document.find(b"<record>"), 0), 0
    while begin > end and unusual <= usual.max_unusual():
        parser.feed(document[end:begin])
        if not parser.is_between():
            raise NotSupported
        end = usual.read(document, max(begin, read))
        begin = document.find(_END, end) + len(_END)
        unusual += 1
    parser.feed(document[end:], is_last=True)


def _split(part: bytes) -> tuple[Texts, Groups]:
    """The elements with text in a part, and the groups of such elements.

    raises  NotSupported if the part has anything else, or an element twice in one place
    """
    outer: Texts = {}
    groups: Groups = []
    texts, around = outer, ""
    if _NO_CHARACTERS.search(part):
        raise NotSupported
    for name, text, tag, _ in _TOKEN.findall(part):
        if name:
            key = name.decode()
            if key in texts:
                raise NotSupported
            texts[key] = text.decode()
        elif around and tag == b"/" + around.encode():
            texts, around = outer, ""
        elif not around and tag and tag[0] != 0x2F:
            texts, around = {}, tag.decode()
            groups.append((around, texts))
        else:
            raise NotSupported
    if around:
        raise NotSupported
    return outer, groups
