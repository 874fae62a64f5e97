"""Report files as a worker sees them: claimed, read, settled; and what the clock does about them.

Files are claimed a few at a time and settled together. One that was tried before is claimed alone,
so that what ends a worker costs only itself.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select, tuple_, update

from app import settings
from app.db.transactions import after_commit, now, transaction
from app.jobs import queue
from app.models import RawFile, ReportFile
from app.models.reports import MAX_ATTEMPTS, RECEIVED
from app.ports.network import Network
from app.protocols.report_formats import unwrap
from app.protocols.report_formats.limits import ReportRejected
from app.services.analytics import rollup_queue
from app.services.ingest import authenticity, budgets, cpu_budgets, filing
from app.services.ingest import claims as ingest_claims
from app.services.ingest import files as ingest_files
from app.services.ingest.authenticity import Author, Guard, Mail
from app.services.ingest.cpu_budgets import CpuMeter
from app.services.ingest.parsing import ParsedReport, read

logger = logging.getLogger(__name__)


BATCH_RECORDS = 5_000  # in memory, until they are written
SLICE_SECONDS = 1.0  # then what is left of a group is released, and each account has its turn again
MAX_RUN_SECONDS = 60.0  # then another job goes on, in a process of its own; between them others may
COUNT_SECONDS = 10.0  # after which what was stored is counted although there is more to read
SWEEP_BATCH_SIZE = 1_000


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """What was found in a file.

    mail  the file itself if it is a mail
    """

    claim: ingest_claims.Claim
    reports: Sequence[ParsedReport]
    mail: bytes = b""

    def as_mail(self) -> Mail:
        """The mail, with the servers that received it for us."""
        claim = self.claim
        servers = authenticity.receiving_servers(claim.received_via, claim.claims)
        return Mail(claim.report_file_id, self.mail, servers)

    def by(self, author: Author | None) -> "ParsedFile":
        """The same, with the author of the mail and without the mail."""
        return replace(
            self, mail=b"", reports=[replace(one, author=author) for one in self.reports]
        )


def run(
    report_file_ids: Sequence[UUID],
    *,
    door: Network | None = None,
    guard: Guard = lambda _: nullcontext(),
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Read these files, then whatever else has been received, until there is no more.

    door         to the keys of those who sign mails; without one no signature proves anything
    guard        entered around all parsing of a file, with the number of bytes that are parsed;
                 raises TimeoutError or MemoryError for a file that takes too much
    is_stopping  asked between files; once true what is claimed is given back
    returns      how many were claimed
    """
    count, wanted, until = 0, list(report_file_ids), time.monotonic() + MAX_RUN_SECONDS
    count_at = time.monotonic() + COUNT_SECONDS
    while not is_stopping():
        if time.monotonic() > until:
            queue.enqueue_report_files([])
            break
        claims = ingest_claims.claim(wanted)
        if not claims and not wanted:
            break
        if not claims:
            wanted = []
            continue
        with ingest_claims.hold_leases(claims):
            _work(claims, door, guard, is_stopping)
        count += len(claims)
        if time.monotonic() > count_at:
            rollup_queue.drain(is_stopping=is_stopping)
            count_at = time.monotonic() + COUNT_SECONDS
    return count


def requeue_stale() -> int:
    """Enqueue what was received long ago, and give what lost its lease another attempt.

    returns  how many files were enqueued
    effects  after MAX_ATTEMPTS a file is quarantined as ``internal``
    """
    current = settings.current()
    is_idle = queue.is_idle(queue.INTAKE)
    with transaction() as session:
        moment = now(session)
        lost = (ReportFile.status == RECEIVED) & (ReportFile.lease_until < moment)
        session.execute(
            update(ReportFile)
            .where(lost, ReportFile.attempt >= MAX_ATTEMPTS)
            .values(_mark_failed(moment))
        )
        waiting = (
            (ReportFile.status == RECEIVED)
            & ReportFile.lease_until.is_(None)
            & (ReportFile.enqueued_at < moment - current.scan_requeue_seconds)
        )
        # While a job is in the queue, pending files are read after it.
        stale = session.execute(
            select(ReportFile.id, ReportFile.attempt)
            .where((lost | waiting) if is_idle else lost)
            .order_by(ReportFile.id)
            .limit(SWEEP_BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        session.execute(
            update(ReportFile)
            .where(ReportFile.id.in_([row.id for row in stale]))
            .values(lease_until=None, enqueued_at=moment)
        )
        tried = [row.id for row in stale if row.attempt]
        fresh = [row.id for row in stale if not row.attempt]
        after_commit(session, lambda: _enqueue(tried, fresh))
    return len(stale)


def _mark_failed(moment: datetime) -> dict[str, Any]:
    return {
        "status": "quarantined",
        "reason": "internal",
        "detail": f"Reading it failed {MAX_ATTEMPTS} times; the log says why",
        "lease_until": None,
        "finished_at": moment,
    }


def _enqueue(tried: Sequence[UUID], fresh: Sequence[UUID]) -> None:
    ingest_files.enqueue(fresh)
    for report_file_id in tried:
        if not queue.enqueue_report_files([report_file_id]):
            return


def _work(
    claims: Sequence[ingest_claims.Claim],
    door: Network | None,
    guard: Guard,
    is_stopping: Callable[[], bool],
) -> None:
    """Parse and store one file of each account, then others until SLICE_SECONDS are over.

    effects  what is left is released, so that the next batch begins with each account again
    """
    batch = _Batch(claims, door, guard)
    until = time.monotonic() + SLICE_SECONDS
    first, rest = batch.in_turns(claims)
    for group in (first, rest):
        for index, claimed in enumerate(group):
            is_late = group is rest and time.monotonic() > until
            if is_stopping() or is_late:
                batch.finish()
                ingest_claims.release([*group[index:], *(rest if group is first else ())])
                return
            batch.read(claimed)
        batch.finish()


class _Batch:
    """Files that were claimed together; CPU time is charged to the account of each."""

    def __init__(
        self, claims: Sequence[ingest_claims.Claim], door: Network | None, guard: Guard
    ) -> None:
        self._contents = _contents(claims)
        self._meter = CpuMeter({claimed.account_id for claimed in claims})
        self._door, self._guard = door, guard
        self._readings: list[ParsedFile] = []

    def in_turns(
        self, claims: Sequence[ingest_claims.Claim]
    ) -> tuple[Sequence[ingest_claims.Claim], Sequence[ingest_claims.Claim]]:
        """One file of each account, of those that used the least CPU time first; the others."""
        first = {claimed.account_id: claimed for claimed in reversed(claims)}
        rest = [claimed for claimed in claims if first[claimed.account_id] is not claimed]
        return sorted(
            first.values(), key=lambda claimed: self._meter.used(claimed.account_id)
        ), rest

    def read(self, claimed: ingest_claims.Claim) -> None:
        """Parse the file; a defect in that costs only this file's attempt."""
        try:
            self._read(claimed)
        except Exception:
            logger.exception("file not read", extra={"report_file_id": str(claimed.report_file_id)})

    def _read(self, claimed: ingest_claims.Claim) -> None:
        """Parse the file, unless its account has used up its CPU time of the day."""
        sender = budgets.class_of(claimed.received_via, claimed.claims)
        if not self._meter.has_budget(claimed.account_id, sender):
            over = ParsedReport.rejected_as(cpu_budgets.REASON, cpu_budgets.DETAIL)
            self._readings.append(ParsedFile(claimed, [over]))
            return
        with self._meter.measured(claimed.account_id):
            reading = _read(claimed, self._contents.get(claimed.content), self._guard)
        self._readings.append(reading)
        if (
            sum(found.size for reading in self._readings for found in reading.reports)
            > BATCH_RECORDS
        ):
            self.finish()

    def finish(self) -> None:
        """Store what was found in the files so far."""
        if self._readings:
            store_results(self._with_authors())
        self._readings = []
        self._meter.store()

    def _with_authors(self) -> Sequence[ParsedFile]:
        """The readings, with what is known of the mails' authors; queries DNS."""
        readings = self._readings
        mails = [reading.as_mail() for reading in readings if reading.mail]
        owners = {reading.claim.report_file_id: reading.claim.account_id for reading in readings}

        @contextmanager
        def guard(mail: Mail) -> Iterator[None]:
            with self._meter.measured(owners[mail.id]), self._guard(len(mail.raw)):
                yield

        authors = authenticity.authors(mails, self._door, guard)
        return [reading.by(authors.get(reading.claim.report_file_id)) for reading in readings]


def _contents(claims: Sequence[ingest_claims.Claim]) -> Mapping[tuple[UUID, bytes], bytes]:
    """The bytes of the files, by what names them; a claim is of a few, or of one that is large."""
    key = tuple_(RawFile.account_id, RawFile.sha256)
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(RawFile.account_id, RawFile.sha256, RawFile.content).where(
                key.in_([claimed.content for claimed in claims])
            )
        )
        return {(row.account_id, row.sha256): row.content for row in rows}


def _read(claimed: ingest_claims.Claim, raw: bytes | None, guard: Guard) -> ParsedFile:
    if raw is None:
        reason, detail = "purged", "The file is not kept any more"
    else:
        try:
            found = read(raw, claimed.entry, int(time.time()), guard)
            with guard(len(raw)):
                return ParsedFile(claimed, found, raw if unwrap.is_mail(raw) else b"")
        except ReportRejected as refused:
            reason, detail = refused.reason, refused.detail
        except TimeoutError:
            reason, detail = "timeout", "Reading it takes more time than one file may take"
        except MemoryError:
            reason, detail = "too_large", "Reading it takes more memory than one file may"
    return ParsedFile(claimed, [ParsedReport.rejected_as(reason, detail)])


def store_results(readings: Sequence[ParsedFile]) -> None:
    """Write what was found, unless another attempt has the file by now.

    effects  one transaction for all; if it fails one for each. What cannot be written by itself
             is logged and left: its lease ends, and another attempt has it
    """
    try:
        with transaction() as session:
            filing.file_all(
                session,
                [(r.claim.report_file_id, r.claim.attempt, r.reports) for r in readings],
            )
    except Exception:  # a defect in one report must cost only that file's attempt
        files = [str(reading.claim.report_file_id) for reading in readings]
        logger.exception("reports not written", extra={"report_file_ids": files})
        if len(readings) > 1:
            for reading in readings:
                store_results([reading])
