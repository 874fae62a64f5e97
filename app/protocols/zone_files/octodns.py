"""Zones in the YAML of octoDNS: a mapping from names to their records."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

from app.protocols.zone_files import record_data, yaml_nodes
from app.protocols.zone_files.collector import Collector, TooManyErrors
from app.protocols.zone_files.record_data import Token
from app.protocols.zone_files.types import DEFAULT_TTL_SECONDS, InvalidData, ZoneRecord
from app.protocols.zone_files.yaml_nodes import Node

KEYS = ("type", "ttl", "value", "values", "octodns")
_FIELDS: Mapping[str, Sequence[Sequence[str]]] = {  # in each, the first name is the current one
    "MX": (("preference", "priority"), ("exchange", "value")),
    "CAA": (("flags",), ("tag",), ("value",)),
    "TLSA": (
        ("certificate_usage",),
        ("selector",),
        ("matching_type",),
        ("certificate_association_data",),
    ),
}
_DEFAULTS = {"flags": "0"}
_STRINGS = ("TXT", "SPF")
_HOSTS = ("NS", "CNAME", "PTR")


def parse(text: str, domain: str) -> tuple[ZoneRecord, ...]:
    """Return the records of the zone of the domain, each once.

    raises  InvalidRecords
    """
    document = yaml_nodes.load(text)
    collector = Collector(domain)
    with suppress(TooManyErrors):
        if isinstance(document.value, Mapping):
            for name, node in document.value.items():
                _read_name(collector, name, node, domain)
        else:
            collector.fail(document.line, "the zone must be a mapping from names to records")
    return collector.records()


def _read_name(collector: Collector, name: str, node: Node, domain: str) -> None:
    sets = node.value if isinstance(node.value, list) else [node]
    for record_set in sets:
        try:
            owner = record_data.absolute_name(name, domain) if name else domain
            _read_set(collector, owner, record_set, domain)
        except InvalidData as error:
            collector.fail(record_set.line, str(error))


def _read_set(collector: Collector, owner: str, node: Node, domain: str) -> None:
    if not isinstance(node.value, Mapping):
        raise InvalidData("a record must be a mapping with a type and values")
    if unknown := [key for key in node.value if key not in KEYS]:
        raise InvalidData(f"{unknown[0][:40]!r} is not supported")
    rdtype = _text(node.value.get("type"), "type").upper()
    ttl = DEFAULT_TTL_SECONDS
    if "ttl" in node.value:
        ttl = record_data.seconds(_text(node.value["ttl"], "ttl"))
    for value in _values(node.value):
        try:
            fields = _fields(rdtype, value)
        except InvalidData as error:
            collector.fail(value.line, str(error))
            continue
        record = ZoneRecord(name=owner, type=rdtype, ttl=ttl, fields=fields, line=value.line)
        collector.add(record)


def _values(record_set: Mapping[str, Node]) -> Sequence[Node]:
    if ("value" in record_set) == ("values" in record_set):
        raise InvalidData("a record needs either value or values")
    node = record_set.get("values") or record_set["value"]
    return node.value if isinstance(node.value, list) else [node]


def _fields(rdtype: str, node: Node) -> tuple[str, ...]:
    if rdtype in record_data.OTHER_TYPES:
        return ("octodns", str(node.line))
    if names := _FIELDS.get(rdtype):
        return record_data.parse(rdtype, _structured(rdtype, names, node), "")
    text = _text(node, "value")
    if rdtype in _STRINGS:
        return (_joined(text),)
    if rdtype in _HOSTS and not text.endswith("."):
        raise InvalidData(f"{text[:80]!r} must be a full name with a final dot")
    return record_data.parse(rdtype, [Token(text)], "")


def _structured(rdtype: str, names: Sequence[Sequence[str]], node: Node) -> list[Token]:
    if not isinstance(node.value, Mapping):
        raise InvalidData(f"the value of a {rdtype} record must be a mapping")
    allowed = {name for alternatives in names for name in alternatives}
    if unknown := [key for key in node.value if key not in allowed]:
        raise InvalidData(f"{unknown[0][:40]!r} is not a field of a {rdtype} record")
    tokens = []
    for alternatives in names:
        present = next((name for name in alternatives if name in node.value), alternatives[0])
        value = node.value.get(present)
        default = _DEFAULTS.get(present) if value is None else None
        tokens.append(Token(default or _text(value, present)))
    if rdtype == "MX" and not tokens[1].text.endswith("."):
        raise InvalidData(f"{tokens[1].text[:80]!r} must be a full name with a final dot")
    if rdtype == "CAA":
        tokens[2] = Token(tokens[2].text.replace("\\;", ";").replace("\\", "\\\\"))
    return tokens


def _text(node: Node | None, name: str) -> str:
    if node is None or node.is_null:
        raise InvalidData(f"{name} is missing")
    if not isinstance(node.value, str):
        raise InvalidData(f"{name} must be a text")
    return node.value


def _joined(text: str) -> str:
    """The text of a TXT record, whose semicolons are escaped, and which may have quoted strings."""
    if text.startswith('"'):
        text = text[1:-1]
    text = text.replace('" "', "").replace("\\;", ";")
    if len(text.encode("utf-8", "surrogatepass")) > 65000:
        raise InvalidData("the record is longer than 65000 bytes")
    return text
