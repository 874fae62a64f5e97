"""Conditions and sums of the policies in TLS reports, and their failures as a table."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
    bindparam,
    case,
    cast,
    exists,
    func,
    literal,
    select,
    type_coerce,
)

from app.analysis.mail.periods import MAX_COUNT, Window, at
from app.db.types import Json
from app.models import TlsPolicy, TlsReport
from app.models.reports import PROVENANCES

HAS_FAILURES = cast(TlsPolicy.failures, Text) != "[]"  # most policies have none, which are not read

Conditions = Sequence[ColumnElement[bool]]


def counted(domain_id: UUID, window: Window) -> Conditions:
    """Return the conditions for the policies of a domain whose sessions count in the window."""
    return (
        TlsPolicy.domain_id == domain_id,
        TlsPolicy.at >= at(window.start),
        TlsPolicy.at < at(window.stop),
    )


def within_bounds(*, is_trusted_only: bool) -> Conditions:
    """Return the same conditions for statements with the parameters of ``bounds``."""
    trusted = select(TlsReport.id).where(
        TlsReport.domain_id == bindparam("domain_id"), TlsReport.provenance != PROVENANCES[0]
    )
    return (
        TlsPolicy.domain_id == bindparam("domain_id"),
        TlsPolicy.at >= bindparam("start_at"),
        TlsPolicy.at < bindparam("stop_at"),
        *([TlsPolicy.report_id.in_(trusted)] if is_trusted_only else []),
    )


def bounds(domain_id: UUID, window: Window) -> dict[str, Any]:
    """Return the parameters of ``within_bounds``."""
    return {"domain_id": domain_id, "start_at": at(window.start), "stop_at": at(window.stop)}


def clipped(sessions: Any) -> ColumnElement[int]:
    """Return the number, limited so that no sum overflows."""
    return case((sessions > MAX_COUNT, MAX_COUNT), else_=sessions)


def total(sessions: Any) -> ColumnElement[int]:
    """Return the sum of the limited numbers."""
    return func.sum(clipped(sessions))


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of policies as a table, to join with the policies or to query for each.

    table  the table
    mx     ``""``: the session failed before a host was reached
    """

    table: Any
    result_type: ColumnElement[str]
    mx: ColumnElement[str]
    sessions: ColumnElement[int]
    _as_array: Callable[[ColumnElement[Any]], ColumnElement[Any]]

    @classmethod
    def of(cls, dialect: str) -> "Failures":
        """Return the table in the SQL of this dialect."""
        is_sqlite = dialect == "sqlite"
        elements = func.json_each if is_sqlite else func.json_array_elements
        table = elements(TlsPolicy.failures).table_valued("value", name="failure")

        def value(name: str, kind: Any) -> ColumnElement[Any]:
            if is_sqlite:
                return func.json_extract(table.c.value, f"$.{name}", type_=kind)
            return cast(table.c.value.op("->>")(name), kind)

        def as_array(failures: ColumnElement[Any]) -> ColumnElement[Any]:
            if is_sqlite:
                return func.json_group_array(func.json(failures))
            return func.json_agg(failures)

        mx = func.coalesce(value("mx", Text), "")
        sessions = value("sessions", BigInteger)
        return cls(table, value("result_type", Text), mx, sessions, as_array)

    def exist(self, conditions: Conditions) -> ColumnElement[bool]:
        """Return whether a policy has a failure that meets the conditions."""
        return HAS_FAILURES & exists(select(literal(1)).select_from(self.table).where(*conditions))

    def count(self, conditions: Conditions) -> ColumnElement[int]:
        """Return the number of a policy's failures that meet the conditions."""
        return select(func.count()).select_from(self.table).where(*conditions).scalar_subquery()

    def total(self, conditions: Conditions) -> ColumnElement[int]:
        """Return the number of failed sessions in a policy's failures that meet the conditions."""
        sessions = cast(func.coalesce(total(self.sessions), 0), BigInteger)
        return select(sessions).select_from(self.table).where(*conditions).scalar_subquery()

    def first(self, conditions: Conditions, limit: int) -> ColumnElement[Any]:
        """Return a policy's failures that meet the conditions as an array, in the report's order.

        returns  NULL if there are none
        """
        matches = select(self.table.c.value).where(*conditions).limit(limit).subquery("matches")
        return type_coerce(select(self._as_array(matches.c.value)).scalar_subquery(), Json)
