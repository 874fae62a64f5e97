"""The fast way to read an aggregate report: records that are written in the usual way.

A record that one regular expression matches, and whose parts consist of nothing but white space and
elements with text, is read without the XML parser; parts that are repeated are read once. This is
exact: such a record is well-formed by itself, none of its texts has a character that means anything
in XML, and it stands where the parser has just seen that records stand. All else, a record written
otherwise too, goes to the parser.
"""

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Generic, TypeVar

from app.protocols.report_formats import xml_text
from app.protocols.report_formats.aggregate.records import (
    Evaluated,
    Identifiers,
    Records,
    Results,
    maker,
)
from app.protocols.report_formats.aggregate.xml import Found, Parser
from app.protocols.report_formats.limits import LIMITS, Limits

MAX_FALLBACKS = 16  # records in a report that has not more usual ones
MAX_PART, MAX_KNOWN = 1_000, 5_000  # octets of a part, and parts, that are remembered

_END = b"</record>"
_UNSUPPORTED = (b"<!", b"<?")
_BLANK = rb"[ \t\r\n]*"
# Bounded, and with one way only to match each text, so that a failure costs no more than a success.
# (Possessive quantifiers would say so, but are broken in the 3.11 that Debian has.)
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
_TOKEN = re.compile(  # an element with text, the beginning or end of one without, or something else
    rb"<([a-z_]{1,30})(?:/>|>([^<>&\x00-\x08\x0b-\x1f]*)</\1>)"
    rb"|<(/?(?:dkim|spf|reason))>|([^ \t\r\n])"
)
_NO_CHARACTERS = re.compile(rb"\xef\xbf[\xbe\xbf]")

Made = TypeVar("Made")
Texts = dict[str, str]
Groups = list[tuple[str, Texts]]


class NotSupported(ValueError):
    """Something is written in another way, which is for the XML parser to judge."""


class _Parts(dict[bytes, Made], Generic[Made]):
    """What was made of parts of records, by their text."""

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
    """The parts that are known in this process."""

    def __init__(self, limits: Limits) -> None:
        self._make = maker(limits)
        self.evaluated = _Parts(self._evaluated)
        self.identifiers = _Parts(self._identifiers)
        self.results = _Parts(self._results)

    def _evaluated(self, texts: Texts, groups: Groups) -> Evaluated:
        reasons = [(group.get("type"), group.get("comment")) for _, group in groups]
        if any(name != "reason" for name, _ in groups):
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
    """Reads usual records into ``records``."""

    def __init__(self, records: Records, limits: Limits) -> None:
        self._records, self._known = records, _templates(limits)

    def read(self, document: bytes, begin: int) -> int:
        """Add the usual records that follow each other from there on; returns where they end."""
        match, append, known = _RECORD.match, self._records.append, self._known
        while found := match(document, begin):
            source_ip, count, evaluated, identifiers, results = found.groups()
            try:
                append(
                    source_ip.decode(),
                    int(count),
                    known.evaluated[evaluated],
                    known.identifiers[identifiers],
                    known.results[results],
                )
            except (NotSupported, UnicodeDecodeError, KeyError):
                break
            begin = found.end()
        return begin


def read(document: bytes, records: Records, limits: Limits = LIMITS) -> Found:
    """As ``dmarc_report_xml.read``, into ``records``.

    raises  Unusual or Refused; then the other one may accept it, or knows why not
    """
    found = Found(records.add, limits)
    document = xml_text.in_utf8(document, limits, found.tolerated)
    usual, unusual = FastReader(records, limits), 0
    with Parser(found) as parser:
        end, place = 0, _begin(document)
        while place > end and unusual <= MAX_FALLBACKS + len(records.all) // 2:
            parser.feed(document[end:place])
            if not parser.is_between:
                raise NotSupported
            end = usual.read(document, place)
            place = document.find(_END, end) + len(_END)
            unusual += 1
        parser.feed(document[end:], is_last=True)
    return found


def _begin(document: bytes) -> int:
    """Where the first record begins.

    raises  Unusual if there is anything in the document that is neither tag nor text
    """
    if any(document.find(strange, 2) >= 0 for strange in _UNSUPPORTED):
        raise NotSupported
    return max(document.find(b"<record>"), 0)


def _split(part: bytes) -> tuple[Texts, Groups]:
    """The elements with text that a part consists of, and the groups of such elements.

    raises  Unusual if there is anything else in it, or one of them twice in a place
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
