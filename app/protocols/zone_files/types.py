"""Records that were read from text, and the errors of their lines."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

MAX_RECORDS = 5_000  # of one text
MAX_ERRORS = 20  # that are reported together
DEFAULT_TTL_SECONDS = 3600


class LineError(NamedTuple):
    """What is wrong in one line of a text; the first line is 1."""

    line: int
    message: str


class InvalidRecords(ValueError):
    """The text cannot be read; ``errors`` has each error with its line, in order."""

    def __init__(self, errors: Iterable[LineError]) -> None:
        self.errors = tuple(errors)
        super().__init__("; ".join(f"line {error.line}: {error.message}" for error in self.errors))


class InvalidData(ValueError):
    """A name or the data of a record is invalid; the message says what is wrong."""


@dataclass(frozen=True, slots=True)
class ZoneRecord:
    """One DNS record.

    name    in lower case, without a final dot
    fields  the data by the fields of the type, host names without a final dot; the strings of a TXT
            record are joined, and bytes that are not UTF-8 are written as \\xNN
    line    the line of the text that it was read from
    """

    name: str
    type: str
    ttl: int
    fields: tuple[str, ...]
    line: int = 0


Action = Literal["add", "replace", "remove"]


@dataclass(frozen=True, slots=True)
class RecordChange:
    """A line that changes records.

    type, name  of the record set
    record      None removes all records of the set
    """

    action: Action
    name: str
    type: str
    record: ZoneRecord | None
    line: int
