"""YAML documents with the line of each value, without anchors, and of little depth."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from app.protocols.zone_files.types import InvalidRecords, LineError

MAX_DEPTH = 6
# The parser in C reads a text several times as fast; a build without it has only the other one.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

Value: TypeAlias = "str | list[Node] | Mapping[str, Node]"


@dataclass(frozen=True, slots=True)
class Node:
    """A value; scalars are texts.

    is_null  an empty value, or ``null``
    """

    line: int
    value: Value
    is_null: bool = False


def load(text: str) -> Node:
    """Return the only document of the text.

    raises  InvalidRecords for YAML that is invalid, has anchors or repeated keys, or is too deep
    """
    try:
        return _document(yaml.parse(text, Loader=_LOADER))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "it has a character that is not allowed"
        line = mark.line + 1 if mark else 1
        raise InvalidRecords([LineError(line, f"not valid YAML: {problem}")]) from None
    except RecursionError:
        raise InvalidRecords([LineError(1, "not valid YAML: it is too deep")]) from None


def _document(events: Iterator[yaml.Event]) -> Node:
    node: Node | None = None
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            if node is not None:
                raise _error(event, "there is more than one document")
            node = _node(next(events), events, 1)
    if node is None:
        raise InvalidRecords([LineError(1, "there are no records")])
    return node


def _node(event: yaml.Event, events: Iterator[yaml.Event], depth: int) -> Node:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise _error(event, "anchors and aliases are not supported")
    if depth > MAX_DEPTH:
        raise _error(event, "the value is too deep")
    line = _line(event)
    if isinstance(event, yaml.ScalarEvent):
        is_null = event.implicit[0] and event.value in ("", "~", "null", "Null", "NULL")
        return Node(line, event.value, is_null)
    if isinstance(event, yaml.SequenceStartEvent):
        items = []
        while not isinstance(item := next(events), yaml.SequenceEndEvent):
            items.append(_node(item, events, depth + 1))
        return Node(line, items)
    return Node(line, _mapping(events, depth))


def _mapping(events: Iterator[yaml.Event], depth: int) -> Mapping[str, Node]:
    values: dict[str, Node] = {}
    while not isinstance(event := next(events), yaml.MappingEndEvent):
        key = _node(event, events, depth + 1).value
        if not isinstance(key, str):
            raise _error(event, "a key must be a text")
        if key in values:
            raise _error(event, f"the key {key[:80]!r} is repeated")
        values[key] = _node(next(events), events, depth + 1)
    return values


def _error(event: yaml.Event, message: str) -> InvalidRecords:
    return InvalidRecords([LineError(_line(event), message)])


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 1
