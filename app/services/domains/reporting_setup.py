"""The setup of reporting: the report addresses of an account, and the records for one domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.checks.engine import evidence
from app.db import transactions
from app.db.transactions import transaction
from app.errors import NotFound
from app.models import Domain, DomainState, IngestToken
from app.protocols.transport import tls_rpt
from app.services.core import domain_lookup
from app.services.ingest import tokens


@dataclass(frozen=True, slots=True)
class TlsRecord:
    """The TLS-RPT record to publish, so that nothing of the published one is lost.

    before  the published record in the last scan; None: none is published
    after   the record to publish; None if it cannot be proposed
    alias   where a CNAME record leads, so that the record must be changed there
    """

    before: str | None
    after: str | None
    alias: str | None = None

    @property
    def is_published(self) -> bool:
        """Whether the published record already has the address."""
        return self.after is not None and self.after == self.before


@dataclass(frozen=True, slots=True)
class ReportingSetup:
    """The report addresses of an account, and the published record of a domain.

    tokens       the tokens, newest first, each with whether it is usable
    address      the newest address that does not expire; None without one
    tls_address  the same for TLS reports
    domain       the requested domain, or the first one by name; None if there is none
    dmarc        its own DMARC record in the last scan
    tls_record   its record for TLS reports; None without an address, or without a scan
    """

    tokens: Sequence[tuple[IngestToken, bool]]
    address: str | None
    tls_address: str | None
    domain: Domain | None
    dmarc: str | None
    tls_record: TlsRecord | None


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
    tls_address = tokens.tls_address(current.token) if current else None
    return ReportingSetup(
        tokens=rows,
        address=tokens.address(current.token) if current else None,
        tls_address=tls_address,
        domain=domain,
        dmarc=_dmarc_record(state, domain),
        tls_record=_tls_record(state, domain, tls_address),
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


def _dmarc_record(state: DomainState | None, domain: Domain | None) -> Any:
    result = state.last_results.get("dmarc") if state else None
    if result is None or domain is None or result["facts"].get("record_at") != domain.name:
        return None  # a record of the parent domain may apply
    return result["facts"].get("record")


def _tls_record(
    state: DomainState | None, domain: Domain | None, address: str | None
) -> TlsRecord | None:
    result = state.last_results.get("tls_rpt") if state else None
    if result is None or domain is None or address is None or "alias" not in result["facts"]:
        return None
    attempts = [
        value
        for row in result["records"]
        if (row["name"], row["type"]) == (f"_smtp._tls.{domain.name}", "TXT")
        for value in row["values"]
        if tls_rpt.is_attempt(value)
    ]
    alias = str(result["facts"]["alias"] or "") or None
    if alias or len(attempts) > 1 or any(map(evidence.is_truncated, attempts)):
        return TlsRecord("\n".join(sorted(attempts)), None, alias)
    before = attempts[0] if attempts else None
    return TlsRecord(before, tls_rpt.with_address(before, address))
