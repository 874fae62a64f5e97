"""The fast way to read an aggregate report: the mark-up of one record is that of most others.

What stands between two records' ends is split into its values and the mark-up around them, the
shape. The XML parser sees a shape once, with numbers in the place of the values, and so tells
which value goes where; after that, whatever has the same shape needs no parser. This is exact:
the parser stands at the same place before each record, values have no character that means
anything in XML, and a report of which any of this is not so is read in the sure way.
"""

import re
from collections.abc import Callable, Iterator
from operator import itemgetter

from app.protocols import xml_text
from app.protocols.dmarc_report_xml import Found, Group, Parser
from app.protocols.report_limits import LIMITS, Limits

MAX_SHAPES = 1_000  # that are remembered

_END = b"</record>"
_MARK = "\ue000"  # for private use: before the number that stands for a value
_STRANGE = (b"<!", b"<?", _MARK.encode())
_VALUE = re.compile(r">([^\s<>&\x00-\x1f\ufffe\uffff][^<>&\x00-\x1f\ufffe\uffff]*)<")

Slots = tuple[int, ...]


class Unlike(ValueError):
    """The report is not of the kind that can be read so."""


class _Plan:
    """Where the values of a shape go.

    constants  what is the same in each record of the shape; they are numbered after the values
    """

    def __init__(self, found: Found, count: int) -> None:
        self.constants: list[str | None] = []
        self._count = count
        self._keys = tuple(found.fields)
        self._fields = itemgetter(*map(self._slot, found.fields.values()), 0)
        self._reasons = self._slots(found.reasons)
        self._dkim = self._slots(found.dkim)
        self._spf = self._slots(found.spf)

    def fill(self, found: Found, values: list[str | None]) -> None:
        """Have it look as if the record had been read with these values."""
        values += self.constants
        found.fields = dict(zip(self._keys, self._fields(values), strict=False))
        found.dkim = [tuple([values[slot] for slot in slots]) for slots in self._dkim]
        found.spf = [tuple([values[slot] for slot in slots]) for slots in self._spf]
        found.reasons = [tuple([values[slot] for slot in slots]) for slots in self._reasons]

    def _slots(self, groups: list[Group]) -> list[Slots]:
        return [tuple(map(self._slot, group)) for group in groups]

    def _slot(self, text: str | None) -> int:
        if text and text[0] == _MARK and text[1:].isdecimal():
            return int(text[1:])
        if text and _MARK in text:
            raise Unlike("a value stands beside something else")
        self.constants.append(text)
        return self._count + len(self.constants) - 1


def read(document: bytes, on_record: Callable[[Found], None], limits: Limits = LIMITS) -> Found:
    """As ``dmarc_report_xml.read``.

    raises  Unlike or Refused; then the other one may accept it, or knows why not
    """
    plans: dict[tuple[str, ...], _Plan] = {}
    found = Found(on_record, limits)
    document = xml_text.in_utf8(document, limits, found.tolerated)
    filled = Found(on_record, limits)
    with Parser(found) as parser:
        end = _begin(document)
        parser.feed(document[:end])
        for end, record in _records(document, end):  # noqa: B007, B020 - where the last ended
            parts = _VALUE.split(record)
            shape = tuple(parts[::2])
            plan = plans.get(shape)
            if not plan:
                plan = _plan(shape, parser, found)
                if len(plans) < MAX_SHAPES:
                    plans[shape] = plan
            plan.fill(filled, parts[1::2])
            on_record(filled)
        parser.feed(document[end:], is_last=True)
    return found


def _begin(document: bytes) -> int:
    """Where the first record begins, or the blank before it.

    raises  Unlike if there is anything in the document that is neither tag nor text
    """
    if any(document.find(strange, 2) >= 0 for strange in _STRANGE):
        raise Unlike("there are comments or the like")
    begin = document.find(b"<record>")
    if begin < 0:
        raise Unlike("there is no record, or it has attributes")
    return document.rfind(b">", 0, begin) + 1  # so that the first is preceded by what others are


def _records(document: bytes, begin: int) -> Iterator[tuple[int, str]]:
    """Each record and what stands before it, with the place where it ends."""
    while (end := document.find(_END, begin) + len(_END)) >= len(_END):
        try:
            yield end, document[begin:end].decode()
        except UnicodeDecodeError:
            raise Unlike("it is not UTF-8") from None
        begin = end


def _plan(shape: tuple[str, ...], parser: Parser, found: Found) -> _Plan:
    """What the parser makes of the shape."""
    plans: list[_Plan] = []
    found.on_record = lambda found: plans.append(_Plan(found, len(shape) - 1))
    if not parser.is_between:
        raise Unlike("the record is not where records are")
    numbered = (f">{_MARK}{number}<{piece}" for number, piece in enumerate(shape[1:]))
    parser.feed(f"{shape[0]}{''.join(numbered)}".encode())
    if len(plans) != 1 or not parser.is_between:
        raise Unlike("the record does not end where records do")
    return plans[0]
