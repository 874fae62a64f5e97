"""The job functions: each takes ids, calls one service function and returns nothing."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from app import logs, runtime
from app.errors import ServiceUnavailable
from app.services.analytics import sender_hosts
from app.services.domains import verification_recheck
from app.services.emails import emails
from app.services.filing import processor
from app.services.forwarding import forwarding
from app.services.mailboxes import polling
from app.services.monitoring import report_monitor
from app.services.notifications import dispatcher
from app.services.rollups import rollup_queue
from app.services.scans import runner, starttls_probes
from app.services.sign_in import password_resets
from worker import resource_limits, shutdown

logger = logging.getLogger(__name__)

IDLE_GRACE_SECONDS = 2.0
EMAIL_POLL_SECONDS = 1.0


def run_scans(scan_ids: list[str]) -> None:
    """Run the scans that are still queued. A stop releases unfinished scans."""
    with logs.fields(scans=scan_ids[:3]):
        runner.run(
            [UUID(scan_id) for scan_id in scan_ids],
            runtime.network(),
            is_stopping=shutdown.is_requested,
        )


def recheck_ownership(domain_ids: list[str]) -> None:
    """Check the verification records of these domains."""
    verification_recheck.recheck([UUID(domain_id) for domain_id in domain_ids], runtime.network())


def deliver() -> None:
    """Send due deliveries, and those that become due shortly after the last one."""
    with _sending_emails():
        dispatcher.run(
            runtime.network(), is_stopping=shutdown.is_requested, idle_grace=IDLE_GRACE_SECONDS
        )


@contextmanager
def _sending_emails() -> Iterator[None]:
    """Send emails to people on a separate thread, so that no slow channel delays them."""
    is_done = threading.Event()
    thread = threading.Thread(target=_send_emails, args=(is_done,), name="emails")
    thread.start()
    try:
        yield
    finally:
        is_done.set()
        thread.join()


def _send_emails(is_done: threading.Event) -> None:
    """Send due emails until the deliveries are done, and at least once."""
    is_last = False
    while True:
        try:
            password_resets.send_requested(is_stopping=shutdown.is_requested)
            emails.send_due(is_stopping=shutdown.is_requested)
        except ServiceUnavailable:
            logger.warning("cannot send emails: database unavailable")
        if is_last:
            return
        is_last = is_done.wait(EMAIL_POLL_SECONDS)


def process_report_files(report_file_ids: list[str]) -> None:
    """Process these report files and all others that are queued, and roll up their reports."""
    with logs.fields(report_files=report_file_ids[:3]):
        processor.run(
            [UUID(report_file_id) for report_file_id in report_file_ids],
            network=runtime.network(),
            guard=resource_limits.one_file,
            is_stopping=shutdown.is_requested,
        )
        rollup_queue.drain(is_stopping=shutdown.is_requested)


def look_up_addresses() -> None:
    """Look up the host names of addresses that are due."""
    sender_hosts.look_up(runtime.network(), is_stopping=shutdown.is_requested)


def probe_hosts() -> None:
    """Probe STARTTLS of the mail hosts that are due."""
    starttls_probes.run(runtime.network())


def poll_mailbox(mailbox_ids: list[str]) -> None:
    """Fetch reports from a mailbox, and from others that are due."""
    polling.poll_next(
        [UUID(mailbox_id) for mailbox_id in mailbox_ids],
        runtime.network(),
        is_stopping=shutdown.is_requested,
    )


def forward_records() -> None:
    """Forward records to the sinks that are due."""
    forwarding.run(runtime.network(), is_stopping=shutdown.is_requested)


def evaluate_reports() -> None:
    """Evaluate the report alerts of domains that are due."""
    report_monitor.evaluate_due(is_stopping=shutdown.is_requested)


# The only functions that a worker runs, whatever is written to Redis.
JOBS: Mapping[str, Callable[..., Any]] = {
    "worker.jobs.deliver": deliver,
    "worker.jobs.evaluate_reports": evaluate_reports,
    "worker.jobs.forward_records": forward_records,
    "worker.jobs.look_up_addresses": look_up_addresses,
    "worker.jobs.probe_hosts": probe_hosts,
    "worker.jobs.recheck_ownership": recheck_ownership,
    "worker.jobs.run_scans": run_scans,
    "worker.jobs.process_report_files": process_report_files,
    "worker.jobs.poll_mailbox": poll_mailbox,
}
