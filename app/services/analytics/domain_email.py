"""All figures of a domain's email page: its results, sources, reporters and TLS sessions."""

from dataclasses import dataclass
from uuid import UUID

from app.db.transactions import transaction
from app.models import Domain
from app.services.analytics import dmarc, sending, sources, tls
from app.services.analytics.dmarc import DmarcQuery, DmarcSummary
from app.services.analytics.sources import Coverage, SourceList
from app.services.analytics.tls import TlsSummary
from app.services.core import domain_lookup
from app.services.rollups import rollup_queue


@dataclass(frozen=True, slots=True)
class DomainEmail:
    """The email of a domain in one period; all figures are from the same snapshot."""

    domain: Domain
    dmarc: DmarcSummary
    sources: SourceList
    coverage: Coverage
    tls: TlsSummary


def summarize(
    account_id: UUID, query: DmarcQuery, *, max_sources: int, max_parts: int
) -> DomainEmail:
    """Return the figures of the domain's email in the period.

    max_sources  the number of sources that are listed one by one
    max_parts    the number of addresses, signatures and the like that are listed for each
    raises       NotFound
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
        sources=sources.listed(report, max_sources, max_parts),
        coverage=coverage,
        tls=sessions,
    )
