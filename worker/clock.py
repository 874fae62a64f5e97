"""``python -m worker.clock``: the process that runs periodic tasks. Run exactly one.

Every task is safe to run twice, so a second clock process only causes extra work.
"""

import logging
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app import interpreter, runtime
from app.jobs import queue
from app.services.accounts import deletion
from app.services.alerts import alerts
from app.services.analytics import sender_hosts
from app.services.domain_status import mail_figures
from app.services.domains import verification_recheck
from app.services.emails import emails
from app.services.filing import processor
from app.services.forwarding import forwarding
from app.services.mailboxes import polling
from app.services.monitoring import account_monitor, report_monitor
from app.services.notifications import channels, dispatcher, recipients
from app.services.operations import retention
from app.services.rollups import rollup_queue, rollups
from app.services.scans import runner, starttls_probes
from app.services.sign_in import password_resets
from app.services.weekly import sending as weekly_sending
from app.settings import InvalidSettings, Settings
from worker import shutdown

logger = logging.getLogger("clock")

TICK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Task:
    """A function that runs every ``seconds``."""

    seconds: float
    do: Callable[[], object]


def tasks(settings: Settings) -> tuple[Task, ...]:
    """Return all periodic tasks with their intervals."""
    return (
        Task(settings.requeue_interval_seconds, runner.requeue_stale),
        Task(settings.delivery_sweep_seconds, dispatcher.enqueue_if_due),
        Task(settings.delivery_sweep_seconds, emails.enqueue_if_due),
        Task(settings.delivery_sweep_seconds, password_resets.enqueue_if_due),
        Task(settings.requeue_interval_seconds, processor.requeue_stale),
        Task(settings.requeue_interval_seconds, rollup_queue.enqueue_if_pending),
        Task(10, queue.report_clock_seen),
        Task(30, runner.start_due),
        Task(60, sender_hosts.enqueue_if_due),
        Task(60, report_monitor.enqueue_if_due),
        Task(60, starttls_probes.enqueue_if_due),
        Task(30, polling.enqueue_if_due),
        Task(5, forwarding.enqueue_if_due),
        Task(30, alerts.reopen_snoozed),
        Task(3600, channels.disable_unaccepted),
        Task(600, recipients.request_missing),
        Task(60, account_monitor.check_accounts),
        Task(300, account_monitor.remind),
        Task(300, account_monitor.check_accepted_risks),
        Task(300, verification_recheck.enqueue_due),
        Task(60, deletion.delete_requested),
        Task(60, mail_figures.refresh),
        Task(60, weekly_sending.send_due),
        Task(600, rollups.compact_weeks),
        Task(3600, retention.run),
        Task(600, processor.retry_deferred),
    )


def run(table: Sequence[Task]) -> None:
    """Run each task when it is due, the first time immediately, until a stop is requested."""
    due = {index: time.monotonic() for index in range(len(table))}
    while not shutdown.is_requested():
        for index, task in enumerate(table):
            if due[index] <= time.monotonic():
                due[index] = time.monotonic() + task.seconds
                _call(task)
        time.sleep(TICK_SECONDS)


def _call(task: Task) -> None:
    try:
        task.do()
    except Exception:  # an unavailable database or a bug in one task must not stop the others
        logger.exception("scheduled task failed", extra={"task": task.do.__name__})


def main() -> int:
    """Run the clock process until SIGTERM or SIGINT; return 2 for invalid settings."""
    try:
        settings = Settings.load()
    except InvalidSettings as error:
        sys.stderr.write(f"{error}\n")
        return 2
    shutdown.listen(signal.SIGTERM, signal.SIGINT)
    runtime.start(settings)
    interpreter.warn_if_outdated()
    queue.is_ready()  # logs why not
    run(tasks(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
