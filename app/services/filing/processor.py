"""Processing of report files: claims, parses and stores them; and what the clock does about them.

Files are claimed and stored in batches. A file whose lease expired is claimed alone, so that a file
that kills a worker costs only its own attempts.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from datetime import time as clock_time
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from app import settings, wall_clock
from app.db.transactions import after_commit, now, transaction
from app.jobs import queue
from app.models import RawFile, ReportFile
from app.models.reports import MAX_ATTEMPTS
from app.ports.network import Network
from app.protocols.report_formats import origin
from app.protocols.report_formats.containers import unwrap
from app.protocols.report_formats.limits import ReportRejected
from app.services.core import batches
from app.services.core.leases import Requeue
from app.services.core.lifecycle_log import Lifecycle
from app.services.filing import claims as file_claims
from app.services.filing import rows as report_rows
from app.services.filing import storage
from app.services.filing.claims import Claim
from app.services.filing.parsing import ParsedReport, read
from app.services.ingest import authenticity, budgets
from app.services.ingest import files as ingest_files
from app.services.ingest.authenticity import Author, Guard, Mail
from app.services.ingest.budgets import CpuMeter
from app.services.rollups import rollup_queue

logger = logging.getLogger(__name__)

BATCH_RECORDS = 5_000  # in memory, until they are stored
SLICE_SECONDS = 1.0  # of one batch; then the rest is released, and fair scheduling starts again
MAX_RUN_SECONDS = 60.0  # of one job; a further job continues, in a separate process
ROLLUP_SECONDS = 10.0  # between two rollups while there are more files
REQUEUE_BATCH_SIZE = 1_000
CPU_BUDGET_REASON = "cpu_budget"
CPU_BUDGET_DETAIL = (
    "This account's CPU time for parsing files is used up; the file is parsed tomorrow"
)


@dataclass(frozen=True, slots=True)
class ParsedFile:
    """The reports of a file.

    mail  the file itself if it is a mail
    """

    claim: Claim
    reports: Sequence[ParsedReport]
    mail: bytes = b""

    def as_mail(self) -> Mail:
        """The mail, with the servers that received it for the account."""
        claim = self.claim
        servers = authenticity.receiving_servers(claim.received_via, claim.sender_metadata)
        return Mail(claim.report_file_id, self.mail, servers)

    def by(self, author: Author | None) -> "ParsedFile":
        """The same file, with the author of the mail and without the mail."""
        return replace(
            self, mail=b"", reports=[replace(report, author=author) for report in self.reports]
        )


@dataclass(frozen=True, slots=True)
class Context:
    """What processing needs from the process.

    network      to the public keys of mail signatures; None: no signature is verified
    guard        entered around all parsing of a file, with the number of bytes to parse; raises
                 TimeoutError or MemoryError for a file that exceeds its limits
    is_stopping  called between files; once true, claimed files are released
    """

    network: Network | None = None
    guard: Guard = lambda _: nullcontext()
    is_stopping: Callable[[], bool] = lambda: False


def run(
    report_file_ids: Sequence[UUID],
    *,
    network: Network | None = None,
    guard: Guard = lambda _: nullcontext(),
    is_stopping: Callable[[], bool] = lambda: False,
) -> int:
    """Process these files and then all others that are queued, and return how many were claimed.

    network, guard, is_stopping  see ``Context``
    effects  after MAX_RUN_SECONDS a job for the remaining files
    """
    context = Context(network, guard, is_stopping)
    count, listed, until = 0, list(report_file_ids), time.monotonic() + MAX_RUN_SECONDS
    rollup_at = time.monotonic() + ROLLUP_SECONDS
    while not is_stopping():
        if time.monotonic() > until:
            queue.enqueue_report_files([])
            break
        claims = file_claims.claim(listed)
        if not claims and not listed:
            break
        if not claims:
            listed = []
            continue
        with file_claims.LEASES.renewing([claim.lease for claim in claims].copy):
            _process(claims, context)
        count += len(claims)
        if time.monotonic() > rollup_at:
            rollup_queue.drain(is_stopping=is_stopping)
            rollup_at = time.monotonic() + ROLLUP_SECONDS
    return count


def requeue_stale() -> int:
    """Enqueue files again that were queued long ago, and requeue files whose lease expired.

    returns  how many files were enqueued
    effects  after MAX_ATTEMPTS a file is rejected as ``internal``
    """
    is_idle = queue.is_idle(queue.INGEST)
    with transaction() as session:
        requeued = file_claims.LEASES.requeue_stale(
            session, _requeue_rule(now(session)), is_idle=is_idle, limit=REQUEUE_BATCH_SIZE
        )
        ingest_files.log_all(session, Lifecycle.REPORT_FILE_REJECTED, requeued.failed)
        ingest_files.log_all(session, Lifecycle.REPORT_FILE_REQUEUED, requeued.tried)
        after_commit(session, lambda: _enqueue(requeued.tried, requeued.fresh))
    return len(requeued.tried) + len(requeued.fresh)


def _requeue_rule(at: datetime) -> Requeue:
    is_late = ReportFile.enqueued_at < at - settings.current().scan_requeue_seconds
    return Requeue(
        is_waiting=file_claims.IS_QUEUED & is_late,
        max_attempts=MAX_ATTEMPTS,
        queued={"enqueued_at": at},
        failed={
            "status": "rejected",
            "reason": "internal",
            "detail": f"The file could not be processed in {MAX_ATTEMPTS} attempts; see the log",
            "finished_at": at,
        },
    )


def retry_deferred() -> int:
    """Queue the files that exceeded the CPU budget of an earlier day, and return how many."""
    with transaction() as session:
        at = now(session)
        midnight = datetime.combine(at.date(), clock_time(), UTC)
        deferred = session.scalars(
            select(ReportFile.id)
            .where(
                ReportFile.status == "rejected",
                ReportFile.reason == CPU_BUDGET_REASON,
                ReportFile.finished_at < midnight,
            )
            .order_by(ReportFile.id)
            .limit(REQUEUE_BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        if deferred:
            ingest_files.parse_again(session, ReportFile.id.in_(deferred), at)
    return len(deferred)


def _enqueue(tried: Sequence[UUID], fresh: Sequence[UUID]) -> None:
    """Enqueue files after an attempt in separate jobs, as one of them may kill its worker."""
    ingest_files.enqueue(fresh)
    for report_file_id in tried:
        if not queue.enqueue_report_files([report_file_id]):
            return


def _process(claims: Sequence[Claim], context: Context) -> None:
    """Parse and store one file of each account, then others for SLICE_SECONDS.

    effects  the rest is released, so that the next batch begins with each account again
    """
    batch = _Batch(claims, context)
    until = time.monotonic() + SLICE_SECONDS
    first, rest = batch.by_turn(claims)
    for index, claim in enumerate(first):
        if context.is_stopping():
            batch.finish()
            file_claims.release([*first[index:], *rest])
            return
        batch.read(claim)
    batch.finish()
    for index, claim in enumerate(rest):
        if context.is_stopping() or time.monotonic() > until:
            batch.finish()
            file_claims.release(rest[index:])
            return
        batch.read(claim)
    batch.finish()


class _Batch:
    """Files that were claimed together; CPU time is charged to the account of each."""

    def __init__(self, claims: Sequence[Claim], context: Context) -> None:
        self._contents = _contents(claims)
        self._meter = CpuMeter({claim.account_id for claim in claims})
        self._context = context
        self._files: list[ParsedFile] = []

    def by_turn(self, claims: Sequence[Claim]) -> tuple[Sequence[Claim], Sequence[Claim]]:
        """One file of each account, the least CPU time used first; and the other files."""
        first = {claim.account_id: claim for claim in reversed(claims)}
        rest = [claim for claim in claims if first[claim.account_id] is not claim]
        return sorted(first.values(), key=lambda claim: self._meter.used(claim.account_id)), rest

    def read(self, claim: Claim) -> None:
        """Parse the file; a defect in parsing it costs only this file's attempt."""
        try:
            self._read(claim)
        except Exception:
            logger.exception(
                "failed to parse report file",
                extra={"report_file_id": str(claim.report_file_id)},
            )

    def _read(self, claim: Claim) -> None:
        """Parse the file, unless its account has used up its CPU time of the day."""
        sender = budgets.class_of(claim.received_via, claim.sender_metadata)
        is_unlimited = claim.received_via in budgets.UNLIMITED_ROUTES
        if not is_unlimited and not self._meter.has_budget(claim.account_id, sender):
            rejected = _rejected(
                claim, self._contents.get(claim.content_key), CPU_BUDGET_REASON, CPU_BUDGET_DETAIL
            )
            self._files.append(rejected)
            return
        with self._charged(claim):
            content = self._contents.get(claim.content_key)
            self._files.append(_parse(claim, content, self._context.guard))
        if sum(report.size for file in self._files for report in file.reports) > BATCH_RECORDS:
            self.finish()

    def _charged(self, claim: Claim) -> AbstractContextManager[None]:
        """Charge the CPU time of the block to the account, unless the operator imports the file."""
        if claim.received_via in budgets.UNLIMITED_ROUTES:
            return nullcontext()
        return self._meter.measured(claim.account_id)

    def finish(self) -> None:
        """Store the files that were parsed so far."""
        if self._files:
            store_results(self._with_authors())
        self._files = []
        self._meter.store()

    def _with_authors(self) -> Sequence[ParsedFile]:
        """The parsed files with the authors of their mails; queries DNS."""
        mails = [file.as_mail() for file in self._files if file.mail]
        claims = {file.claim.report_file_id: file.claim for file in self._files}

        @contextmanager
        def guard(mail: Mail) -> Iterator[None]:
            with self._charged(claims[mail.id]), self._context.guard(len(mail.raw)):
                yield

        authors = authenticity.authors(mails, self._context.network, guard)
        return [
            file.by(authors.get(file.claim.report_file_id)) if file.mail else file
            for file in self._files
        ]


def _contents(claims: Sequence[Claim]) -> Mapping[tuple[UUID, bytes], bytes]:
    """The stored bytes by their key; a batch is several small files or one large file."""
    key = tuple_(RawFile.account_id, RawFile.sha256)
    with transaction(readonly=True) as session:
        rows = session.execute(
            select(RawFile.account_id, RawFile.sha256, RawFile.content).where(
                key.in_([claim.content_key for claim in claims])
            )
        )
        return {(row.account_id, row.sha256): row.content for row in rows}


def _parse(claim: Claim, raw: bytes | None, guard: Guard) -> ParsedFile:
    if raw is None:
        reason, detail = "purged", "The file is no longer stored"
    else:
        try:
            reports = read(
                raw, claim.entry, int(wall_clock.seconds()), guard, claim.file_name or ""
            )
            with guard(len(raw)):
                is_mail = any(report.report for report in reports) and unwrap.is_mail(raw)
            return ParsedFile(claim, reports, raw if is_mail else b"")
        except ReportRejected as rejected:
            reason, detail = rejected.reason, rejected.detail
        except TimeoutError:
            reason, detail = "timeout", "Parsing the file exceeds the CPU time limit of one file"
        except MemoryError:
            reason, detail = "too_large", "Parsing the file exceeds the memory limit of one file"
    return _rejected(claim, raw, reason, detail)


def _rejected(claim: Claim, raw: bytes | None, reason: str, detail: str) -> ParsedFile:
    """The rejection of a whole file, which was not opened or exceeds a limit."""
    source = None if raw is None else origin.of_file(raw, claim.file_name or "")
    return ParsedFile(claim, [ParsedReport.rejected_as(reason, detail, source)])


def store_results(files: Sequence[ParsedFile]) -> None:
    """Store the reports of these files, except of files that this process no longer holds.

    effects  one transaction for all; if it fails, one for each. A file that cannot be stored is
             logged and left: its lease expires, and another attempt is made
    """
    files = [
        replace(file, reports=[report_rows.with_rows(report) for report in file.reports])
        for file in files
    ]
    batches.write(files, _store, failure="failed to store reports", log_fields=_log_fields)


def _store(session: Session, files: Sequence[ParsedFile]) -> None:
    storage.file_all(session, [(file.claim.lease, file.reports) for file in files])


def _log_fields(files: Sequence[ParsedFile]) -> dict[str, list[str]]:
    return {"report_file_ids": [str(file.claim.report_file_id) for file in files]}
