"""The DKIM selectors that reports name, because DNS cannot list them."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from operator import itemgetter
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.checks.engine.types import MAX_OBSERVED_SELECTORS
from app.db import bulk
from app.db.transactions import now
from app.models import ObservedSelector
from app.models.reports import PROVENANCES
from app.protocols.report_formats.aggregate import AggregateReport

RETENTION = timedelta(days=60)
MAX_OBSERVED = 100  # from one report

_SELECTOR = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9._-]{0,188}[A-Za-z0-9_])?")


def observe(
    session: Session, reports: Iterable[tuple[Mapping[str, Any], AggregateReport, str]]
) -> None:
    """Store the selectors of passing signatures of the domain or its subdomains.

    It runs in the caller's transaction.

    reports  the columns of each row, the report, and the domain that it is filed under
    """
    latest: dict[tuple[UUID, str, str], Mapping[str, Any]] = {}
    for row, report, domain in reports:
        if row["provenance"] == PROVENANCES[0]:
            continue  # unknown senders must not decide which selectors scans look for
        for name, selector in islice(_signed(report, domain), MAX_OBSERVED):
            key = (row["domain_id"], name, selector)
            if key not in latest or latest[key]["end_at"] < row["end_at"]:
                latest[key] = row
    if not latest:
        return
    insert = bulk.insert(session, ObservedSelector)
    newer = insert.excluded.last_seen_at > ObservedSelector.last_seen_at
    session.execute(
        insert.on_conflict_do_update(
            index_elements=["domain_id", "name", "selector"],
            set_={"last_seen_at": insert.excluded.last_seen_at},
            where=newer,
        ),
        [
            {
                "domain_id": domain_id,
                "name": name,
                "selector": selector,
                "account_id": row["account_id"],
                "last_seen_at": row["end_at"],
            }
            for (domain_id, name, selector), row in sorted(latest.items(), key=itemgetter(0))
        ],
    )


def _signed(report: AggregateReport, domain: str) -> Iterator[tuple[str, str]]:
    """The distinct pairs of name and selector of passing signatures."""
    plain = {result for record in report.records for result in record.dkim_results}
    passed = {
        (result.domain.lower(), result.selector.lower())
        for result in plain
        if result.result == "pass" and result.selector and _SELECTOR.fullmatch(result.selector)
    }
    return (
        (name, selector)
        for name, selector in sorted(passed)
        if name == domain or name.endswith(f".{domain}")
    )


def seen(
    session: Session, domain_ids: Sequence[UUID]
) -> Mapping[UUID, tuple[tuple[str, str], ...]]:
    """Return the pairs of selector and name by domain, the latest first.

    It runs in the caller's transaction.
    """
    rows = session.execute(
        select(ObservedSelector.domain_id, ObservedSelector.selector, ObservedSelector.name)
        .where(
            bulk.is_any(session, ObservedSelector.domain_id, domain_ids),
            ObservedSelector.last_seen_at >= now(session) - RETENTION,
        )
        .order_by(
            ObservedSelector.last_seen_at.desc(), ObservedSelector.name, ObservedSelector.selector
        )
    )
    selectors: dict[UUID, tuple[tuple[str, str], ...]] = {}
    for domain_id, selector, name in rows:
        earlier = selectors.get(domain_id, ())
        if len(earlier) < MAX_OBSERVED_SELECTORS:
            selectors[domain_id] = (*earlier, (selector, name))
    return selectors
