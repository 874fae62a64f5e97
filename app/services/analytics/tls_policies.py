"""Policies of TLS reports as they are counted: in which hours, up to how much, and what failed."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Text,
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

HAS_FAILURES = cast(TlsPolicy.failures, Text) != "[]"  # most have none, and need not be read

Conditions = Sequence[ColumnElement[bool]]


def counted(domain_id: UUID, window: Window, *, is_trusted_only: bool = False) -> Conditions:
    """Those of a domain whose sessions count in the window."""
    trusted = select(TlsReport.id).where(
        TlsReport.domain_id == domain_id, TlsReport.provenance != PROVENANCES[0]
    )
    return (
        TlsPolicy.domain_id == domain_id,
        TlsPolicy.at >= at(window.start),
        TlsPolicy.at < at(window.stop),
        *([TlsPolicy.report_id.in_(trusted)] if is_trusted_only else []),
    )


def clipped(sessions: Any) -> ColumnElement[int]:
    """The number, limited so that no sum overflows."""
    return case((sessions > MAX_COUNT, MAX_COUNT), else_=sessions)


def total(sessions: Any) -> ColumnElement[int]:
    """The sum of such numbers."""
    return func.sum(clipped(sessions))


@dataclass(frozen=True, slots=True)
class Failures:
    """The failures of policies as a table: to be joined with the policies, or asked of each.

    each  the table
    mx    "" for one that came before there was a host
    """

    each: Any
    result_type: ColumnElement[str]
    mx: ColumnElement[str]
    sessions: ColumnElement[int]
    _gathered: Callable[[ColumnElement[Any]], ColumnElement[Any]]

    @classmethod
    def of(cls, dialect: str) -> "Failures":
        """For a database of this kind."""
        is_sqlite = dialect == "sqlite"
        every = func.json_each if is_sqlite else func.json_array_elements
        each = every(TlsPolicy.failures).table_valued("value", name="failure")

        def value(name: str, kind: Any) -> ColumnElement[Any]:
            if is_sqlite:
                return func.json_extract(each.c.value, f"$.{name}", type_=kind)
            return cast(each.c.value.op("->>")(name), kind)

        def gathered(failures: ColumnElement[Any]) -> ColumnElement[Any]:
            if is_sqlite:
                return func.json_group_array(func.json(failures))
            return func.json_agg(failures)

        mx = func.coalesce(value("mx", Text), "")
        sessions = value("sessions", BigInteger)
        return cls(each, value("result_type", Text), mx, sessions, gathered)

    def exist(self, wanted: Conditions) -> ColumnElement[bool]:
        """Whether a policy has one that fits."""
        return HAS_FAILURES & exists(select(literal(1)).select_from(self.each).where(*wanted))

    def count(self, wanted: Conditions) -> ColumnElement[int]:
        """How many of a policy fit."""
        return select(func.count()).select_from(self.each).where(*wanted).scalar_subquery()

    def total(self, wanted: Conditions) -> ColumnElement[int]:
        """How many sessions failed in those of a policy that fit."""
        found = cast(func.coalesce(total(self.sessions), 0), BigInteger)
        return select(found).select_from(self.each).where(*wanted).scalar_subquery()

    def first(self, wanted: Conditions, most: int) -> ColumnElement[Any]:
        """Those of a policy that fit, as an array in the order of the report; None for none."""
        some = select(self.each.c.value).where(*wanted).limit(most).subquery("some")
        return type_coerce(select(self._gathered(some.c.value)).scalar_subquery(), Json)
