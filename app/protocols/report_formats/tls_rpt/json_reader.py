"""Values of JSON objects as reporters write them, with a warning for each tolerated deviation."""

import re
from typing import Any

from app.protocols.report_formats.aggregate import values as values
from app.protocols.report_formats.aggregate.values import Warnings
from app.protocols.report_formats.limits import Limits, ReportRejected
from app.protocols.report_formats.tls_rpt.json_text import Object, Unreadable

MAX_STRINGS = 1_000
TOO_MANY = "too_many_records"

# Not 1,000, which may also be 1 with a decimal comma.
_COUNT = re.compile(
    r"([0-9]{1,20}|[0-9]{1,3}(?:,[0-9]{3}){2,5}|[0-9]{1,3},(?!000)[0-9]{3})(?:\.0{1,20})?"
)


class Reader:
    """Reads values and collects parser warnings."""

    def __init__(self, limits: Limits) -> None:
        self.limits, self.warnings = limits, Warnings()

    def mapping(self, value: object, what: str) -> Object:
        """The value, which must be an object, or an array of one object."""
        if isinstance(value, list) and len(value) == 1:
            self.warnings.add("array_for_object", what)
            value = value[0]
        if isinstance(value, Unreadable):
            raise ReportRejected(value.reason, f"{what} {value.detail}")
        if not isinstance(value, dict):
            raise ReportRejected("bad_value", f"{what} is not an object")
        return value

    def array(self, value: object, what: str, most: int) -> list[Any]:
        """The value, which must be an array; an object is an array of one, and null is empty."""
        if value is None:
            return []
        if isinstance(value, dict):
            self.warnings.add("object_for_array", what)
            value = [value] if value else []
        if isinstance(value, Unreadable):
            raise ReportRejected(value.reason, f"{what} {value.detail}")
        if not isinstance(value, list):
            raise ReportRejected("bad_value", f"{what} is not an array")
        if len(value) > most:
            raise ReportRejected(TOO_MANY, f"{what} has more than {most} entries")
        return value

    def text(self, of: Object, key: str) -> str | None:
        """The text on one line, cut at the limit; None if it is absent or not a text."""
        text = self.whole_text(of.get(key), key)
        if text and len(text) > self.limits.field:
            self.warnings.add("text_truncated", key)
            text = text[: self.limits.field]
        return text and (values.text(text) or None)

    def whole_text(self, value: object, key: str) -> str | None:
        """The text as written; None if it is absent or not a text."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if value is None or isinstance(value, str):
            return value
        code = value.warning if isinstance(value, Unreadable) else "not_a_text"
        self.warnings.add(code, key)
        return None

    def texts(self, of: Object, key: str) -> tuple[str, ...]:
        """An array of texts; a single text counts as an array of one (RFC 8460 erratum 6241)."""
        value = of.get(key)
        items = value if isinstance(value, list) else [value]
        if len(items) > MAX_STRINGS:
            self.warnings.add("too_many_values", key)
        texts = [self.text({key: item}, key) for item in items[:MAX_STRINGS]]
        return tuple(text for text in texts if text)

    def count(self, of: Object, key: str) -> int | None:
        """A number of sessions; None if it is absent.

        raises  ReportRejected
        """
        value = of.get(key)
        if isinstance(value, str):
            match = _COUNT.fullmatch(value.strip())
            self.warnings.add("string_for_number", key)
            value = int(match[1].replace(",", "")) if match else value and -1
        if value is None or value == "":
            return None
        if type(value) is not int or not 0 <= value <= self.limits.integer:
            raise ReportRejected("bad_number", f"{key} is not a valid number of sessions")
        return value
