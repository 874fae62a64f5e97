"""Zone files: the master file format of RFC 1035 §5, in time proportional to their length."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from app.protocols.zone_files import record_data
from app.protocols.zone_files.collector import Collector, TooManyErrors
from app.protocols.zone_files.record_data import Token
from app.protocols.zone_files.types import (
    DEFAULT_TTL_SECONDS,
    MAX_RECORDS,
    Action,
    InvalidData,
    RecordChange,
    ZoneRecord,
)

_TOKEN = re.compile(
    r"(?P<blank>[ \t\r\f\v]++)|(?P<newline>\n)|(?P<comment>;[^\n]*+)|(?P<open>\()|(?P<close>\))"
    r'|"(?P<quoted>[^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+)"|(?P<word>(?:[^\s;()"\\]++|\\[^\n])++)'
    r"|(?P<other>.)",
    re.DOTALL,
)
_OTHER_CLASSES = ("CH", "HS", "CS", "ANY", "NONE")
_REFUSED = {
    "$INCLUDE": "insert the records of the file",
    "$GENERATE": "write each record in a line of its own",
}


_SIGNS: Mapping[Token, Action] = {Token("+"): "add", Token("-"): "remove"}


class _Prefix(NamedTuple):
    """The parts of a line: the TTL, the type and the tokens of the data."""

    ttl: int
    type: str
    data: Sequence[Token]


@dataclass(slots=True)
class _Entry:
    """One entry: a line, or several in parentheses.

    is_indented  the owner is that of the entry before
    """

    line: int
    is_indented: bool = False
    tokens: list[Token] = field(default_factory=list)
    problem: str | None = None


def parse(text: str, domain: str) -> tuple[ZoneRecord, ...]:
    """Return the records of a zone file, each once.

    domain  the origin of relative names until ``$ORIGIN``; all records must be at or below it
    raises  InvalidRecords
    """
    collector = Collector(domain)
    with suppress(TooManyErrors):
        _Reader(collector, domain).read(text)
    return collector.records()


def parse_changes(text: str, domain: str) -> tuple[RecordChange, ...]:
    """Return the changes in lines of a zone file, each of which may begin with a sign.

    ``+`` adds the record, and ``-`` removes it, or without data all records of its name and type.
    The lines without a sign replace the records of their name and type.

    raises  InvalidRecords
    """
    collector = Collector(domain)
    reader = _SignedReader(collector, domain)
    with suppress(TooManyErrors):
        reader.read(text)
    collector.expect(reader.changes)
    return tuple(reader.changes)


class _Reader:
    """The state between the entries: origin, default TTL and last owner."""

    def __init__(self, collector: Collector, origin: str) -> None:
        self._collector, self._origin = collector, origin
        self._owner: str | None = None
        self._ttl = DEFAULT_TTL_SECONDS
        self._has_default = False

    def read(self, text: str) -> None:
        for entry in _entries(text):
            try:
                if entry.problem:
                    raise InvalidData(entry.problem)
                self.read_entry(entry)
            except InvalidData as error:
                self._collector.fail(entry.line, str(error))

    def read_entry(self, entry: _Entry) -> None:
        first = entry.tokens[0]
        if first.text.startswith("$") and not first.is_quoted and not entry.is_indented:
            self._read_directive(first.text.upper(), entry.tokens[1:])
            return
        tokens = entry.tokens
        if not entry.is_indented:
            self._owner = None  # an invalid owner must not hand the line to the one before
            self._owner = record_data.absolute_name(first.text, self._origin)
            tokens = tokens[1:]
        if self._owner is None:
            raise InvalidData("the line begins with a blank, but there is no name before it")
        self._add(self._owner, self._prefix(tokens), entry.line)

    def _add(self, owner: str, prefix: _Prefix, line: int) -> None:
        self._collector.add(self._record(owner, prefix, line))

    def _record(self, owner: str, prefix: _Prefix, line: int) -> ZoneRecord:
        return ZoneRecord(
            name=owner,
            type=prefix.type,
            ttl=prefix.ttl,
            fields=record_data.parse(prefix.type, prefix.data, self._origin),
            line=line,
        )

    def _read_directive(self, name: str, tokens: Sequence[Token]) -> None:
        if remedy := _REFUSED.get(name):
            raise InvalidData(f"{name} is not supported: {remedy}")
        if name not in ("$ORIGIN", "$TTL"):
            raise InvalidData(f"unknown directive {name[:20]}")
        if len(tokens) != 1:
            raise InvalidData(f"{name} takes one value")
        if name == "$ORIGIN":
            self._origin = record_data.absolute_name(tokens[0].text, self._origin)
        else:
            self._ttl, self._has_default = record_data.seconds(tokens[0].text), True

    def _prefix(self, tokens: Sequence[Token]) -> _Prefix:
        """The parts between the owner and the data, in any order (RFC 1035 §5.1)."""
        ttl: int | None = None
        for index, token in enumerate(tokens[:3]):
            word = token.text.upper()
            if word in _OTHER_CLASSES:
                raise InvalidData(f"class {word} is not supported: records are of class IN")
            if record_data.is_type(word) or (ttl is not None and word != "IN"):
                return _Prefix(self._ttl_or_default(ttl), word, tokens[index + 1 :])
            if word != "IN":
                if not word[:1].isdigit():
                    raise InvalidData(f"unknown record type {word[:20]!r}")
                ttl = record_data.seconds(token.text)
        raise InvalidData("the line has no record type")

    def _ttl_or_default(self, ttl: int | None) -> int:
        """The TTL of a record; without one, and without $TTL, that of the record before."""
        if ttl is None:
            return self._ttl
        if not self._has_default:
            self._ttl = ttl
        return ttl


class _SignedReader(_Reader):
    """Reads lines that may begin with a sign."""

    def __init__(self, collector: Collector, origin: str) -> None:
        super().__init__(collector, origin)
        self.changes: list[RecordChange] = []
        self._action: Action = "replace"

    def read_entry(self, entry: _Entry) -> None:
        self._action = _SIGNS.get(entry.tokens[0], "replace")
        if entry.tokens[0] in _SIGNS:
            if len(entry.tokens) == 1:
                raise InvalidData("there is no record after the sign")
            entry = _Entry(entry.line, False, entry.tokens[1:])
        super().read_entry(entry)

    def _add(self, owner: str, prefix: _Prefix, line: int) -> None:
        record: ZoneRecord | None = None
        if prefix.data or self._action != "remove":
            record = self._record(owner, prefix, line)
        if len(self.changes) >= MAX_RECORDS:
            self._collector.fail(line, f"there are more than {MAX_RECORDS} records")
            raise TooManyErrors
        if self._collector.has_name(owner, line):
            change = RecordChange(
                action=self._action, name=owner, type=prefix.type, record=record, line=line
            )
            self.changes.append(change)


def _entries(text: str) -> Iterator[_Entry]:
    scanner = _Scanner()
    for match in _TOKEN.finditer(text.removeprefix("\ufeff")):
        if match.lastgroup != "newline":
            scanner.add(match)
        elif entry := scanner.end_line():
            yield entry
    if entry := scanner.end_text():
        yield entry


class _Scanner:
    """Collects the tokens of each entry; parentheses continue it over several lines."""

    def __init__(self) -> None:
        self._line, self._depth, self._entry = 1, 0, _Entry(1)
        self._is_start = True

    def add(self, match: re.Match[str]) -> None:
        """Add one token, blank, comment or parenthesis of the current line."""
        kind, entry = match.lastgroup, self._entry
        if kind == "blank":
            entry.is_indented = entry.is_indented or self._is_start
        elif kind in ("word", "quoted"):
            entry.line = entry.line if entry.tokens else self._line
            entry.tokens.append(Token(match[kind], kind == "quoted"))
        elif kind == "open":
            self._depth += 1
        elif kind == "close":
            self._close()
        elif kind == "other":
            entry.problem = entry.problem or _problem(match[0])
        self._is_start = False

    def end_line(self) -> _Entry | None:
        """Return the entry that ends with this line, if any."""
        self._line += 1
        if self._depth:
            return None
        entry, self._entry, self._is_start = self._entry, _Entry(self._line), True
        return entry if entry.tokens or entry.problem else None

    def end_text(self) -> _Entry | None:
        """Return the last entry, if any."""
        if self._depth:
            self._entry.problem = "a ( has no )"
        self._depth = 0
        return self.end_line()

    def _close(self) -> None:
        self._depth -= 1
        if self._depth < 0:
            self._depth = 0
            self._entry.problem = self._entry.problem or "there is no ( before the )"


def _problem(character: str) -> str:
    if character == '"':
        return "a quoted string has no end in its line"
    if character == "\\":
        return "a backslash at the end of the line escapes nothing"
    return f"unexpected character {character!r}"
