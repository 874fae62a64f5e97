"""Why scans fail, and alerts on domains whose scans fail repeatedly."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.errors import ServiceUnavailable
from app.models import Domain, Scan
from app.rules.engine.types import Posture
from app.rules.scans import failed_scans as rules
from app.services.alerts import evaluation
from app.services.alerts.evaluation import Evaluation
from app.services.core.leases import Lease
from app.services.scans.claims import LEASES

SCANS_EXAMINED = 5  # last scans that are counted


def note(lease: Lease[UUID], error: Exception) -> None:
    """Note why the result of a scan could not be stored, unless the database itself is away."""
    if isinstance(error, ServiceUnavailable):
        return
    cause = error.orig if isinstance(error, DBAPIError) else error
    reason = f"the result could not be stored ({type(cause).__name__}); see the log of the worker"
    with transaction() as session:
        session.execute(update(Scan).where(LEASES.is_held([lease])).values(error=reason))


def record(scan_ids: Sequence[UUID]) -> None:
    """Evaluate the failed-scan rule for the domains of these scans, which have just failed."""
    with transaction() as session:
        domain_ids = session.scalars(select(Scan.domain_id).where(Scan.id.in_(scan_ids))).all()
        domains = session.scalars(
            select(Domain)
            .where(Domain.id.in_(domain_ids))
            .order_by(Domain.id)
            .with_for_update(key_share=True)
        ).all()
        live_alerts = evaluation.live_alerts(session, domain_ids)
        for domain in domains:
            count = _failed_in_a_row(session, domain.id)
            posture = Posture(domain.name, now(session), {}, failed_scans=count)
            live = live_alerts.get(domain.id, [])
            evaluation.evaluate(session, Evaluation(domain, posture, live), rules.RULES)


def _failed_in_a_row(session: Session, domain_id: UUID) -> int:
    statuses = session.scalars(
        select(Scan.status)
        .where(Scan.domain_id == domain_id, Scan.status.in_(("completed", "failed")))
        .order_by(Scan.id.desc())
        .limit(SCANS_EXAMINED)
    ).all()
    return next((n for n, status in enumerate(statuses) if status != "failed"), len(statuses))
