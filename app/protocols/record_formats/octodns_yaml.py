"""The YAML of octoDNS, which describes whole record sets."""

from app.protocols.record_formats.types import TTL_SECONDS, RecordSetChange
from app.protocols.zone_files import single_values

_FIELDS = {
    "MX": ("preference", "exchange"),
    "CAA": ("flags", "tag", "value"),
    "TLSA": ("certificate_usage", "selector", "matching_type", "certificate_association_data"),
}
_TYPES = ("TXT", "SPF", "A", "AAAA", "CNAME", "NS", "PTR", *_FIELDS)


def record_set(change: RecordSetChange) -> str | None:
    """Return the record set after the change; None if the zone is not known, or octoDNS cannot.

    A set without records is a comment.
    """
    values = change.whole_set
    if values is None or change.zone is None or change.type not in _TYPES:
        return None
    if not values:
        return f"# Remove the {change.type} record of {change.name} from the zone."
    lines = []
    for text in values:
        value = _value(change.type, text)
        if value is None:
            return None
        lines.append(f"  - {value}")
    head = [f"{_quoted(_relative(change))}:", f"  type: {change.type}", f"  ttl: {TTL_SECONDS}"]
    if len(lines) == 1:
        return "\n".join((*head, f"  value: {lines[0].removeprefix('  - ')}"))
    return "\n".join((*head, "  values:", *lines))


def _relative(change: RecordSetChange) -> str:
    """The name as a key of the zone; the zone itself is the empty key."""
    return "" if change.name == change.zone else change.name.removesuffix(f".{change.zone}")


def _value(rdtype: str, text: str) -> str | None:
    if rdtype in ("TXT", "SPF"):
        escaped = _text(text)
        return None if escaped is None else _quoted(escaped)
    if names := _FIELDS.get(rdtype):
        fields = list(single_values.parse(rdtype, text))
        if rdtype == "MX":
            fields[1] = f"{fields[1]}."
        if rdtype == "CAA":
            if not fields[2].isascii() or "\\;" in fields[2]:
                return None
            fields[2] = fields[2].replace(";", "\\;")
        pairs = zip(names, fields, strict=True)
        return "{" + ", ".join(f"{name}: {_scalar(field)}" for name, field in pairs) + "}"
    return _quoted(text)


def _text(text: str) -> str | None:
    """The text with escaped semicolons, the only escape of octoDNS; None if it is ambiguous."""
    if not text.isascii() or "\\;" in text or '" "' in text:
        return None
    escaped = text.replace(";", "\\;")
    return f'"{escaped}"' if escaped.startswith('"') else escaped


def _scalar(field: str) -> str:
    return field if field.isdigit() and len(field) < 6 else _quoted(field)


def _quoted(text: str) -> str:
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    return character if character.isprintable() else f"\\x{ord(character):02x}"
