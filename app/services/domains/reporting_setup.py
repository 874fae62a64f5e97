"""The setup of reporting: the report addresses of an account, and the records for one domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import transactions
from app.db.transactions import transaction
from app.errors import NotFound
from app.models import Domain, DomainState, IngestToken
from app.services.core import domain_lookup
from app.services.ingest import tokens


@dataclass(frozen=True, slots=True)
class ReportingSetup:
    """The report addresses of an account, and the published record of a domain.

    tokens       the tokens, newest first, each with whether it is usable
    address      the newest address that does not expire; None without one
    tls_address  the same for TLS reports
    domain       the requested domain, or the first one by name; None if there is none
    dmarc        its DMARC record in the last scan
    """

    tokens: Sequence[tuple[IngestToken, bool]]
    address: str | None
    tls_address: str | None
    domain: Domain | None
    dmarc: str | None


def find(account_id: UUID, name: str) -> ReportingSetup:
    """Return the setup of reporting.

    name  of the domain whose record to return; "": the first domain of the account
    """
    with transaction(readonly=True, snapshot=True) as session:
        now = transactions.now(session)
        rows = [
            (token, token.is_usable(now))
            for token in session.scalars(
                select(IngestToken)
                .where(IngestToken.account_id == account_id)
                .order_by(IngestToken.id.desc())
            )
        ]
        current = next((row for row, is_usable in rows if is_usable and not row.expires_at), None)
        domain = _domain(session, account_id, name)
        state = session.get(DomainState, domain.id) if domain else None
    return ReportingSetup(
        tokens=rows,
        address=tokens.address(current.token) if current else None,
        tls_address=tokens.tls_address(current.token) if current else None,
        domain=domain,
        dmarc=_dmarc_record(state),
    )


def _domain(session: Session, account_id: UUID, name: str) -> Domain | None:
    if not name:
        return session.scalar(
            select(Domain).where(Domain.account_id == account_id).order_by(Domain.name).limit(1)
        )
    try:
        return domain_lookup.owned(session, account_id, name)
    except NotFound:
        return None


def _dmarc_record(state: DomainState | None) -> Any:
    result = state.last_results.get("dmarc") if state else None
    return result["facts"].get("record") if result else None
