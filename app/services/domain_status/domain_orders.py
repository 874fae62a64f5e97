"""The orders of lists of domains. A domain without a value comes last, in both directions."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import BigInteger, case, func

from app.models import Domain, DomainMail
from app.protocols.timestamps import FIRST, LAST

_HIGHEST = 1 << 60
_STRENGTH = {"missing": 0, "none": 1, "quarantine": 2, "reject": 3}  # of DMARC policies
_WHOLE = func.nullif(DomainMail.messages, 0)
_RATE = (DomainMail.passed * 10_000).op("/", return_type=BigInteger())(_WHOLE)  # of integers
# The values by name, with the lowest and the highest value in place of none.
_VALUES: Mapping[str, tuple[Any, Any, Any]] = {
    "policy": (case(_STRENGTH, value=Domain.dmarc_policy), -1, _HIGHEST),
    "rate": (_RATE, -1, _HIGHEST),
    "volume": (DomainMail.messages, -1, _HIGHEST),
    "score": (Domain.score, -1, _HIGHEST),
    "trend": (Domain.score_change, -_HIGHEST, _HIGHEST),
    "lastScan": (Domain.last_scan_finished_at, FIRST, LAST),
}


def order(name: str, active_alerts: Any = None) -> tuple[Any, ...]:
    """Return the columns of an order.

    name           a name of the values, ``createdAt``, ``name`` or ``alerts``; with a minus,
                   descending
    active_alerts  the column with the number of open alerts, for ``alerts``
    """
    key, is_descending = name.removeprefix("-"), name.startswith("-")
    if key in ("createdAt", "name"):
        column: Any = Domain.id if key == "createdAt" else Domain.name
        return (column.desc() if is_descending else column,)
    value, lowest, highest = (
        (active_alerts, 0, 0) if key == "alerts" else _VALUES[key]  # no open alerts is a value
    )
    column = func.coalesce(value, lowest if is_descending else highest)
    return column.desc() if is_descending else column, Domain.name
