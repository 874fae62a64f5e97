"""The value of one record, as changes of record sets name it."""

import re

from app.protocols.zone_files import record_data
from app.protocols.zone_files.record_data import Token
from app.protocols.zone_files.types import InvalidData

_WORD = re.compile(r'[^\S\n]*+(?:"([^"\\\n]*+(?:\\[^\n][^"\\\n]*+)*+)"|([^\s"]++))')


def parse(rdtype: str, value: str) -> tuple[str, ...]:
    """Return the fields of a record; host names are absolute, with or without a final dot.

    value   of a TXT record: its text, without quotes; else in presentation format
    raises  InvalidData
    """
    if rdtype in ("TXT", "SPF"):
        return (value,)
    if not record_data.is_type(rdtype):
        raise InvalidData(f"unknown record type {rdtype[:20]!r}")
    tokens, end = [], 0
    text = value.strip()
    while match := _WORD.match(text, end):
        is_quoted = match[1] is not None
        tokens.append(Token(match[1] if is_quoted else match[2], is_quoted))
        end = match.end()
    if end != len(text):
        raise InvalidData("the value is not in the format of a zone file")
    return record_data.parse(rdtype, tokens, "")
