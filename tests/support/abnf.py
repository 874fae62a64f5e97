"""Grammars in ABNF (RFC 5234, RFC 7405), to recognize and to generate texts.

The grammars in tests/data/grammars are those of the RFCs. None of them is recursive, so that each
rule is also a regular expression.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from typing import Protocol

from tests.support.paths import DATA

CORE = """
ALPHA = %x41-5A / %x61-7A
DIGIT = %x30-39
HEXDIG = DIGIT / "A" / "B" / "C" / "D" / "E" / "F"
SP = %x20
HTAB = %x09
WSP = SP / HTAB
VCHAR = %x21-7E
"""
OPEN_END = 3  # so often more than the minimum does a generated text repeat an element, at most
_RULE = re.compile(r"^([A-Za-z][A-Za-z0-9-]*) *= *((?:.*\n?)(?:^[ \t]+.*\n?)*)", re.MULTILINE)
_TOKEN = re.compile(
    r"\s*(?:(?P<repeat>\d*\*\d*|\d+)(?=[\s\[(\"%A-Za-z])|(?P<text>(?:%[si])?\"[^\"]*\")"
    r"|%x(?P<codes>[0-9A-F]+(?:-[0-9A-F]+|(?:\.[0-9A-F]+)*))"
    r"|(?P<name>[A-Za-z][A-Za-z0-9-]*)|(?P<sign>[/()\[\]]))"
)


class Node(Protocol):
    """A part of a rule."""

    def regex(self) -> str:
        """The regular expression of the texts that the part describes."""
        ...

    def text(self, random: Random) -> str:
        """One of the texts."""
        ...


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the alternatives."""

    options: tuple[Node, ...]

    def regex(self) -> str:
        return f"(?:{'|'.join(option.regex() for option in self.options)})"

    def text(self, random: Random) -> str:
        return random.choice(self.options).text(random)


@dataclass(frozen=True, slots=True)
class Sequence:
    """All of the parts, one after another."""

    parts: tuple[Node, ...]

    def regex(self) -> str:
        return "".join(part.regex() for part in self.parts)

    def text(self, random: Random) -> str:
        return "".join(part.text(random) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Repetition:
    """The element ``low`` to ``high`` times; without an upper bound for None."""

    element: Node
    low: int
    high: int | None

    def regex(self) -> str:
        high = "" if self.high is None else self.high
        return f"(?:{self.element.regex()}){{{self.low},{high}}}"

    def text(self, random: Random) -> str:
        high = self.low + OPEN_END if self.high is None else self.high
        count = random.choice((self.low, high, random.randint(self.low, high)))
        return "".join(self.element.text(random) for _ in range(count))


@dataclass(frozen=True, slots=True)
class Range:
    """One character of a range."""

    first: int
    last: int

    def regex(self) -> str:
        return f"[\\x{self.first:02x}-\\x{self.last:02x}]"

    def text(self, random: Random) -> str:
        return chr(random.randint(self.first, self.last))


@dataclass(frozen=True, slots=True)
class Literal:
    """A string, in which case counts only if it is marked with ``%s``."""

    value: str
    is_case_sensitive: bool

    def regex(self) -> str:
        return re.escape(self.value) if self.is_case_sensitive else f"(?i:{re.escape(self.value)})"

    def text(self, random: Random) -> str:
        is_written_otherwise = not self.is_case_sensitive and random.random() < 0.1
        return self.value.swapcase() if is_written_otherwise else self.value


@cache
def rule(grammar: str, name: str = "") -> Node:
    """A rule of a grammar in tests/data/grammars; its first one without a name."""
    text = _without_comments((DATA / "grammars" / f"{grammar}.abnf").read_text())
    rules = dict(_RULE.findall(CORE + text))
    first = next(match[1] for match in _RULE.finditer(text))
    return parse(rules, name or first)


@cache
def pattern(grammar: str, name: str = "") -> re.Pattern[str]:
    """The regular expression of a rule; of the first one without a name."""
    return re.compile(rule(grammar, name).regex(), re.ASCII)


def parse(rules: Mapping[str, str], name: str) -> Node:
    """The rule of this name, with those that it names inside it."""
    lowered = {key.lower(): text for key, text in rules.items()}
    return _Parser(lowered, lowered[name.lower()]).choice()


def _without_comments(text: str) -> str:
    return re.sub(r'^((?:[^";\n]|"[^"\n]*")*);.*$', r"\1", text, flags=re.MULTILINE)


class _Parser:
    """Parses one rule; ``_tokens`` has the tokens that are not parsed yet, the next one last."""

    def __init__(self, rules: Mapping[str, str], text: str) -> None:
        self._rules = rules
        self._tokens = list(_TOKEN.finditer(text.strip()))[::-1]
        if "".join(match[0] for match in reversed(self._tokens)) != text.strip():
            raise ValueError(f"not ABNF: {text}")

    def choice(self) -> Node:
        options = [self._sequence()]
        while self._tokens and self._tokens[-1]["sign"] == "/":
            self._tokens.pop()
            options.append(self._sequence())
        return Choice(tuple(options))

    def _sequence(self) -> Node:
        parts = []
        while self._tokens and self._tokens[-1]["sign"] not in ("/", ")", "]"):
            parts.append(self._repetition())
        return Sequence(tuple(parts))

    def _repetition(self) -> Node:
        repeat = self._tokens[-1]["repeat"]
        if repeat is None:
            return self._element()
        self._tokens.pop()
        low, star, high = repeat.partition("*")
        most = high if star else low
        return Repetition(self._element(), int(low or 0), int(most) if most else None)

    def _element(self) -> Node:
        token = self._tokens.pop()
        if token["name"]:
            return parse(self._rules, token["name"])
        if token["codes"]:
            return _characters(token["codes"])
        if token["text"]:
            return Literal(token["text"].partition('"')[2][:-1], token["text"].startswith("%s"))
        inner = self.choice()
        self._tokens.pop()  # the closing bracket
        return Repetition(inner, 0, 1) if token["sign"] == "[" else inner


def _characters(codes: str) -> Node:
    first, dash, last = codes.partition("-")
    if dash:
        return Range(int(first, 16), int(last, 16))
    characters = "".join(chr(int(code, 16)) for code in codes.split("."))
    return Literal(characters, is_case_sensitive=True)
