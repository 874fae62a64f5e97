"""Leases of rows, and batches in which a defective item does not stop the others."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.models import Domain, MailHost, ReportFile
from app.services.core import batches
from app.services.core.leases import Lease, LeaseTable, Requeue
from app.services.filing import claims
from app.services.ingest import files
from app.services.scans import starttls_probes
from tests.support.factories import make_account, make_domain
from tests.support.report_documents import dmarc_xml

pytestmark = pytest.mark.usefixtures("database")

SECOND = timedelta(seconds=1)
IS_ANY = ReportFile.id.is_not(None)


@pytest.fixture
def file_id() -> UUID:
    return files.store(make_account().id, dmarc_xml(), received_via="http").file.id


def claim() -> list[Lease[UUID]]:
    with transaction() as session:
        return claims.LEASES.claim(session, IS_ANY, limit=10)


def row(file_id: UUID) -> ReportFile:
    with transaction(readonly=True) as session:
        return session.get_one(ReportFile, file_id)


def expire() -> None:
    with transaction() as session:
        session.execute(update(ReportFile).values(lease_until=now(session) - SECOND))


def is_held(lease: Lease[UUID]) -> bool:
    with transaction() as session:
        values = {"detail": "written by the holder"}
        written = session.execute(
            update(ReportFile).where(claims.LEASES.is_held([lease])).values(values)
        )
        return bool(written.rowcount)  # type: ignore[attr-defined]  # an UPDATE has it


def test_a_leased_row_is_not_claimed_again(file_id: UUID) -> None:
    assert claim() == [Lease(file_id, 1)]
    assert claim() == []


def test_an_expired_lease_is_held_until_another_worker_claims_the_row(file_id: UUID) -> None:
    (first,) = claim()
    expire()
    assert is_held(first)
    (second,) = claim()
    assert second == Lease(file_id, 2)
    assert not is_held(first)
    assert is_held(second)


def test_a_released_attempt_does_not_count_and_is_not_held(file_id: UUID) -> None:
    (lease,) = claim()
    with transaction() as session:
        claims.LEASES.release(session, [lease])
    assert not is_held(lease)
    assert (row(file_id).attempt, row(file_id).lease_until) == (0, None)
    claims.LEASES.renew([lease])
    assert row(file_id).lease_until is None


def test_a_lost_lease_is_neither_renewed_nor_released(file_id: UUID) -> None:
    (first,) = claim()
    expire()
    claim()
    before = row(file_id)
    claims.LEASES.renew([first])
    with transaction() as session:
        claims.LEASES.release(session, [first])
    after = row(file_id)
    assert (after.attempt, after.lease_until) == (before.attempt, before.lease_until)


def test_leases_are_renewed_during_the_work(file_id: UUID) -> None:
    table = LeaseTable(
        key=ReportFile.id,
        until=ReportFile.lease_until,
        attempt=ReportFile.attempt,
        duration=lambda: timedelta(seconds=0.3),
    )
    with transaction() as session:
        leases = table.claim(session, IS_ANY, limit=1)
    before = row(file_id).lease_until
    with table.renewing(lambda: leases):
        Event().wait(0.5)
    after = row(file_id).lease_until
    assert before is not None
    assert after is not None
    assert after > before


def test_a_row_without_an_attempt_number_is_held_by_its_expiry_time() -> None:
    with transaction() as session:
        at = now(session) - SECOND
        session.add(MailHost(name="mx.acme.test", last_referenced_at=at, next_at=at))
    with transaction() as session:
        (lease,) = starttls_probes.LEASES.claim(session, MailHost.name.is_not(None), limit=1)
        is_still_held = starttls_probes.LEASES.is_held([lease])
        assert session.query(MailHost).where(is_still_held).count() == 1
        session.execute(update(MailHost).values(next_at=at))
        assert session.query(MailHost).where(is_still_held).count() == 0


def test_workers_claim_different_rows() -> None:
    account_id = make_account().id
    file_ids = {
        files.store(account_id, dmarc_xml() + b" " * number, received_via="http").file.id
        for number in range(20)
    }

    def work(_: int) -> list[UUID]:
        claimed: list[UUID] = []
        while True:
            with transaction() as session:
                leases = claims.LEASES.claim(session, IS_ANY, limit=3)
            if not leases:
                return claimed
            claimed.extend(lease.key for lease in leases)

    with ThreadPoolExecutor(4) as pool:
        claimed = [key for keys in pool.map(work, range(4)) for key in keys]
    assert len(claimed) == len(file_ids)
    assert set(claimed) == file_ids


@pytest.mark.parametrize(("attempts", "expected"), [(1, "tried"), (2, "failed")])
def test_rows_with_an_expired_lease_are_queued_again_or_fail(
    file_id: UUID, attempts: int, expected: str
) -> None:
    for _ in range(attempts):
        claim()
        expire()
    rule = Requeue(
        is_waiting=claims.IS_QUEUED,
        max_attempts=2,
        queued={"detail": "queued"},
        failed={"status": "rejected"},
    )
    with transaction() as session:
        requeued = claims.LEASES.requeue_stale(session, rule, is_idle=True)
    assert getattr(requeued, expected) == [file_id]
    assert sum(map(len, requeued)) == 1
    assert row(file_id).lease_until is None


def test_a_defective_item_is_written_alone_and_the_others_are_written() -> None:
    account_id = make_account().id
    attempts: list[list[str]] = []

    def write(session: Session, names: Sequence[str]) -> None:
        attempts.append(list(names))
        for name in names:
            session.add(Domain(account_id=account_id, name=name))
        session.flush()

    def log_fields(names: Sequence[str]) -> dict[str, Any]:
        return {"names": list(names)}

    make_domain(account_id, "b.test")
    names = ["a.test", "b.test", "c.test"]
    batches.write(names, write, failure="not written", log_fields=log_fields)
    assert attempts == [names, ["a.test"], ["b.test"], ["c.test"]]
    with transaction(readonly=True) as session:
        assert {domain.name for domain in session.query(Domain)} == set(names)
