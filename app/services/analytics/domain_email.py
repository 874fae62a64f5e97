"""All figures of a domain's email page: its results, senders, reporters and TLS sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.db.transactions import transaction
from app.models import Domain
from app.services.analytics import dmarc, senders, sending, sources, tls
from app.services.analytics.dmarc import DmarcQuery, DmarcSummary
from app.services.analytics.senders import SenderFilter, SenderPage
from app.services.analytics.sources import Coverage
from app.services.analytics.tls import TlsSummary
from app.services.core import domain_lookup
from app.services.rollups import rollup_queue


@dataclass(frozen=True, slots=True)
class DomainEmail:
    """The email of a domain in one period; all figures are from the same snapshot."""

    domain: Domain
    dmarc: DmarcSummary
    senders: SenderPage
    coverage: Coverage
    tls: TlsSummary


def summarize(
    account_id: UUID,
    query: DmarcQuery,
    filter: SenderFilter,
    cursor_values: Sequence[Any] | None,
    *,
    max_parts: int,
) -> DomainEmail:
    """Return the figures of the domain's email in the period.

    filter         which senders are listed
    cursor_values  the values that the page of senders starts after; None: the first page
    max_parts      the number of addresses, signatures and the like that are listed for each
    raises         NotFound
    """
    rollup_queue.drain_domain(account_id, query.domain)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, query.domain)
        summary = dmarc.read(session, domain, query)
        report = sending.load(session, domain, query.window)
        coverage = sources.read_coverage(session, domain, query.window)
        sessions = tls.read(session, domain, query)
    return DomainEmail(
        domain=domain,
        dmarc=summary,
        senders=senders.page(report, filter, cursor_values, max_parts),
        coverage=coverage,
        tls=sessions,
    )
