"""The fast path for aggregate reports: records in the usual layout are read without an XML parser.

A record is read this way if one regular expression matches it and its parts have only white
space and elements with text; repeated parts are read once. The result is exact: such a record is
well-formed by itself, its texts contain no XML markup, and the parser has confirmed that records
are allowed at this position, which is not within a tag, a comment or the like. Everything else,
such as a record in another layout, goes to the parser.
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
_TOKEN = re.compile(  # an element with text, a start or end tag of a group, or anything else
    rb"<([a-z_]{1,30})(?:/>|>([^<>&\x00-\x08\x0b-\x1f]*)</\1>)"
    rb"|<(/?(?:dkim|spf|reason))>|([^ \t\r\n])"
)
_NO_CHARACTERS = re.compile(rb"\xef\xbf[\xbe\xbf]")

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
    """Adds records in the usual layout to ``records``."""

    def __init__(self, records: Records, limits: Limits) -> None:
        self._records, self._known = records, _templates(limits)

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
    usual, unusual = FastReader(records, limits), 0
    with Parser(contents) as parser:
        end, begin = 0, max(document.find(b"<record>"), 0)
        while begin > end and unusual <= MAX_FALLBACKS + len(records.all) // 2:
            parser.feed(document[end:begin])
            if not parser.is_between():
                raise NotSupported
            end = usual.read(document, begin)
            begin = document.find(_END, end) + len(_END)
            unusual += 1
        parser.feed(document[end:], is_last=True)
    return contents


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
