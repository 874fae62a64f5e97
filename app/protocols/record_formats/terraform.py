"""Resources of Terraform for Cloudflare (provider version 5) and Amazon Route 53."""

import re
from collections.abc import Mapping, Sequence

from app.protocols.record_formats import presentation
from app.protocols.record_formats.types import TTL_SECONDS, RecordSetChange
from app.protocols.zone_files import single_values

_NOT_IDENTIFIER = re.compile(r"[^a-z0-9]+")
_TEMPLATE = re.compile(r"[$%]\{")
_DATA_FIELDS = {
    "CAA": ("flags", "tag", "value"),
    "TLSA": ("usage", "selector", "matching_type", "certificate"),
}
_HOST_TYPES = ("CNAME", "NS", "PTR")
_TEXT_TYPES = ("TXT", "SPF")


def cloudflare(change: RecordSetChange) -> str:
    """Return one resource for each added record, after comments with the records to remove."""
    label = _label(change)
    removed = [f"# Remove the resource with {_comment(change, text)}" for text in change.removed]
    added = [
        _resource(
            "cloudflare_dns_record",
            f"{label}_{number}" if len(change.added) > 1 else label,
            {
                "zone_id": "var.zone_id",
                "name": _string(change.name),
                "type": _string(change.type),
                "ttl": str(TTL_SECONDS),
                **_content(change.type, text),
            },
        )
        for number, text in enumerate(change.added, 1)
    ]
    return "\n".join((*removed, *added))


def route53(change: RecordSetChange) -> str | None:
    """Return the resource of the whole record set; None if its other records are not known.

    A set without records is a comment.
    """
    values = change.whole_set
    if values is None:
        return None
    if not values:
        return f"# Remove the resource of the {change.type} record of {change.name}."
    records = [f"    {_string(_record(change.type, text))}," for text in values]
    return _resource(
        "aws_route53_record",
        _label(change),
        {
            "zone_id": "var.zone_id",
            "name": _string(change.name),
            "type": _string(change.type),
            "ttl": str(TTL_SECONDS),
            "records": "\n".join(("[", *records, "  ]")),
        },
    )


def _resource(kind: str, label: str, arguments: Mapping[str, str]) -> str:
    width = max(map(len, arguments))
    lines = [f"  {name:<{width}} = {value}" for name, value in arguments.items()]
    return "\n".join((f'resource "{kind}" "{label}" {{', *lines, "}"))


def _label(change: RecordSetChange) -> str:
    label = _NOT_IDENTIFIER.sub("_", f"{change.name}.{change.type}".lower()).strip("_")
    return label if label[:1].isalpha() else f"record_{label}"


def _comment(change: RecordSetChange, text: str) -> str:
    return f"{change.name} {change.type} {presentation.value(change.type, text)}"


def _content(rdtype: str, text: str) -> Mapping[str, str]:
    """The arguments with the data of a record of Cloudflare."""
    if rdtype == "MX":
        preference, host = single_values.parse(rdtype, text)
        return {"priority": preference, "content": _string(host or ".")}
    if names := _DATA_FIELDS.get(rdtype):
        return {"data": _object(names, single_values.parse(rdtype, text))}
    value = presentation.value(rdtype, text)
    return {"content": _string(value.removesuffix(".") if rdtype in _HOST_TYPES else value)}


def _object(names: Sequence[str], fields: Sequence[str]) -> str:
    pairs = [
        f"{name} = {field if field.isdigit() and len(field) < 6 else _string(field)}"
        for name, field in zip(names, fields, strict=True)
    ]
    return "{ " + ", ".join(pairs) + " }"


def _record(rdtype: str, text: str) -> str:
    """A value of Route 53: the provider adds the outer quotes of a TXT record."""
    if rdtype not in _TEXT_TYPES:
        return text
    return '""'.join("".join(map(_octal, string)) for string in presentation.strings(text))


def _octal(octet: int) -> str:
    if octet in b'"\\':
        return f"\\{chr(octet)}"
    return chr(octet) if 0x20 <= octet < 0x7F else f"\\{octet:03o}"


def _string(text: str) -> str:
    """A quoted string of HCL, in which ``${`` and ``%{`` begin no template."""
    escaped = "".join(map(_escaped, text))
    end = escaped.rfind("}")  # not every reader of HCL accepts an escaped ``${`` that has no end

    def without_template(match: re.Match[str]) -> str:
        sign = match[0][0]
        return f"{sign}{match[0]}" if match.start() < end else f"\\u{ord(sign):04x}{{"

    return '"' + _TEMPLATE.sub(without_template, escaped) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return f"\\{character}"
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
