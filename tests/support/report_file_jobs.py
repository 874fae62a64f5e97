"""Report files that a worker processes from the queue."""

from collections import Counter
from typing import Any
from uuid import UUID

from rq import Queue
from rq.serializers import JSONSerializer
from rq.worker import SimpleWorker
from sqlalchemy import select

from app.db.transactions import transaction
from app.jobs import queue
from app.models import ReportFile
from app.services.ingest import files
from worker.rq_worker import AllowedJob


def run_jobs(connection: Any) -> None:
    """Run the queued jobs in this process."""
    worker = SimpleWorker(
        [queue.INGEST], connection=connection, serializer=JSONSerializer, job_class=AllowedJob
    )
    worker.work(burst=True, logging_level="ERROR")


def store_files(account_id: UUID, *raws: bytes) -> list[UUID]:
    return [files.store(account_id, raw, received_via="http").file.id for raw in raws]


def statuses() -> Counter[str]:
    with transaction(readonly=True) as session:
        return Counter(session.scalars(select(ReportFile.status)))


def jobs(connection: Any) -> list[Any]:
    return Queue(queue.INGEST, connection=connection, serializer=JSONSerializer).jobs
