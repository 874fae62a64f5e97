"""Collects the records of a text, with the errors of its lines."""

from collections.abc import Sized

from app.protocols.zone_files.types import (
    MAX_ERRORS,
    MAX_RECORDS,
    InvalidRecords,
    LineError,
    ZoneRecord,
)

SINGLE_TYPES = ("CNAME", "SOA")  # a name has one record of these types at most


class TooManyErrors(Exception):
    """So much is wrong that the rest of the text is not read."""


class Collector:
    """The records and errors of one text."""

    def __init__(self, domain: str) -> None:
        self._domain = domain
        self._records: dict[ZoneRecord, ZoneRecord] = {}  # without its line: the record
        self._singles: dict[tuple[str, str], tuple[str, ...]] = {}
        self._errors: list[LineError] = []

    def add(self, record: ZoneRecord) -> None:
        """Add the record, or an error if it is not allowed here. A duplicate is dropped.

        raises  TooManyErrors
        """
        if not self.has_name(record.name, record.line):
            return
        if record.type in SINGLE_TYPES:
            fields = self._singles.setdefault((record.name, record.type), record.fields)
            if fields != record.fields:
                self.fail(record.line, f"{record.name} has more than one {record.type} record")
                return
        key = ZoneRecord(name=record.name, type=record.type, ttl=0, fields=record.fields)
        self._records.setdefault(key, record)
        if len(self._records) > MAX_RECORDS:
            self.fail(record.line, f"there are more than {MAX_RECORDS} records")
            raise TooManyErrors

    def has_name(self, name: str, line: int) -> bool:
        """Return whether the name is at or below the domain; otherwise add an error."""
        if name == self._domain or name.endswith(f".{self._domain}"):
            return True
        self.fail(line, f"{name or 'the root'} is not in {self._domain}. Remove the record")
        return False

    def fail(self, line: int, message: str) -> None:
        """Add an error.

        raises  TooManyErrors
        """
        self._errors.append(LineError(line, message))
        if len(self._errors) >= MAX_ERRORS:
            raise TooManyErrors

    def records(self) -> tuple[ZoneRecord, ...]:
        """Return the records in their order.

        raises  InvalidRecords if there are errors, or no records
        """
        self.expect(self._records)
        return tuple(self._records.values())

    def expect(self, items: Sized) -> None:
        """Check that there is something, and that there are no errors.

        raises  InvalidRecords
        """
        if not items and not self._errors:
            self._errors.append(LineError(1, "there are no records"))
        if self._errors:
            raise InvalidRecords(self._errors)
