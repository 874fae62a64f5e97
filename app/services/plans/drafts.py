"""Reads the drafts that callers send: a zone, or changes of records."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from app.checks.engine.draft_zones import Draft, Edit, EditedZone, ZoneDraft
from app.errors import InvalidRequest
from app.protocols.names import DomainName
from app.protocols.zone_files import (
    DEFAULT_TTL_SECONDS,
    Action,
    InvalidData,
    InvalidRecords,
    RecordChange,
    ZoneRecord,
    master_files,
    octodns,
    record_data,
    single_values,
)

MAX_EDITS = 100  # changes of record sets; a larger change is a zone
_WILDCARD = (
    "a wildcard also answers for names that are not listed, so it cannot be changed alone. "
    "Send the zone file"
)


@dataclass(frozen=True, slots=True)
class ZoneFileText:
    """A zone file that replaces all records of the domain."""

    text: str
    field: str = "zoneFile"

    def read(self, domain: DomainName) -> Draft:
        """Return the draft.

        raises  InvalidRequest with each error and its line
        """
        try:
            return ZoneDraft(domain, master_files.parse(self.text, domain))
        except InvalidRecords as error:
            raise _invalid(self.field, error) from None


@dataclass(frozen=True, slots=True)
class OctodnsText:
    """A zone in the YAML of octoDNS that replaces all records of the domain."""

    text: str
    field: str = "octodns"

    def read(self, domain: DomainName) -> Draft:
        """Return the draft.

        raises  InvalidRequest with each error and its line
        """
        try:
            return ZoneDraft(domain, octodns.parse(self.text, domain))
        except InvalidRecords as error:
            raise _invalid(self.field, error) from None


@dataclass(frozen=True, slots=True)
class ChangedLines:
    """Lines of a zone file that change single records."""

    text: str
    field: str

    def read(self, domain: DomainName) -> Draft:
        """Return the draft.

        raises  InvalidRequest with each error and its line
        """
        try:
            changes = master_files.parse_changes(self.text, domain)
        except InvalidRecords as error:
            raise _invalid(self.field, error) from None
        return _edited(self.field, domain, list(_grouped(changes)))


@dataclass(frozen=True, slots=True)
class ChangedRecords:
    """One change of a record set; ``values`` are texts of TXT records, else presentation format."""

    action: Action
    name: str
    type: str
    values: Sequence[str] = ()
    ttl: int | None = None


@dataclass(frozen=True, slots=True)
class RecordList:
    """Changes of record sets; all others stay as they are published."""

    changes: Sequence[ChangedRecords]
    field: str = "records"

    def read(self, domain: DomainName) -> Draft:
        """Return the draft.

        raises  InvalidRequest with every error
        """
        errors: list[Mapping[str, str]] = []
        edits = []
        for index, change in enumerate(self.changes):
            field = f"{self.field}[{index}]"
            try:
                edits.append(_edit(change, domain, field))
            except InvalidRequest as error:
                errors += error.extra["details"]
        if errors:
            raise InvalidRequest(errors[:20])
        return _edited(self.field, domain, edits)


DraftSource = ZoneFileText | OctodnsText | ChangedLines | RecordList


def unmatched(source: DraftSource, edits: Iterable[Edit]) -> InvalidRequest:
    """Return the error about changes that remove records which are not published."""
    return InvalidRequest(
        [_detail(source.field, edit, "no such record is published") for edit in edits]
    )


def _detail(field: str, edit: Edit, message: str) -> dict[str, str]:
    """The error of one change: its line, or its index in a list."""
    is_line = edit.at.startswith("line ")
    return {
        "field": field if is_line else edit.at,
        "code": "invalid",
        "message": f"{edit.at}: {message}" if is_line else message,
    }


def _invalid(field: str, error: InvalidRecords) -> InvalidRequest:
    return InvalidRequest(
        [
            {"field": field, "code": "invalid", "message": f"line {line}: {message}"}
            for line, message in error.errors
        ]
    )


def _edited(field: str, domain: DomainName, edits: Sequence[Edit]) -> EditedZone:
    if len(edits) > MAX_EDITS:
        message = f"at most {MAX_EDITS} record sets can be changed. Send the zone file"
        raise InvalidRequest.field(field, message)
    if wildcards := [edit for edit in edits if edit.name.startswith("*.")]:
        raise InvalidRequest([_detail(field, edit, _WILDCARD) for edit in wildcards[:20]])
    return EditedZone(domain, edits)


def _grouped(changes: Iterable[RecordChange]) -> Iterator[Edit]:
    """The changes by record set; lines without a sign replace the set together."""
    replaced: dict[tuple[str, str], list[RecordChange]] = {}
    others = []
    for change in changes:
        if change.action == "replace":
            replaced.setdefault((change.name, change.type), []).append(change)
        else:
            others.append([change])
    for group in (*replaced.values(), *others):
        first = group[0]
        yield Edit(
            action=first.action,
            name=first.name,
            type=first.type,
            records=tuple(change.record for change in group if change.record),
            at=f"line {first.line}",
        )


def _edit(change: ChangedRecords, domain: DomainName, field: str) -> Edit:
    rdtype = change.type.upper()
    try:
        name = record_data.absolute_name(change.name, "")
        if name != domain and not name.endswith(f".{domain}"):
            raise InvalidData(f"{name or 'the root'} is not in {domain}")
    except InvalidData as error:
        raise InvalidRequest.field(f"{field}.name", str(error)) from None
    if not record_data.is_type(rdtype):
        raise InvalidRequest.field(f"{field}.type", f"unknown record type {rdtype[:20]!r}")
    if not change.values and change.action != "remove":
        raise InvalidRequest.field(f"{field}.values", "at least one value is needed")
    records = []
    for index, value in enumerate(change.values):
        try:
            fields = single_values.parse(rdtype, value)
        except InvalidData as error:
            raise InvalidRequest.field(f"{field}.values[{index}]", str(error)) from None
        ttl = DEFAULT_TTL_SECONDS if change.ttl is None else change.ttl
        records.append(ZoneRecord(name=name, type=rdtype, ttl=ttl, fields=fields))
    return Edit(action=change.action, name=name, type=rdtype, records=tuple(records), at=field)
