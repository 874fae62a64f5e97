"""Limits on concurrent expensive requests of the caller's account."""

import time
from collections.abc import Callable
from contextlib import ExitStack

from flask import current_app, request

from app.api.http.auth import current
from app.limits.concurrency import ConcurrencyLimitExceeded, Slot, Slots
from app.services.api_keys import account_limits

EVALUATION_SECONDS = 120  # after which a slot is free again if its process was killed
EXPORT_SECONDS = 600
LONGEST_WAIT_SECONDS = 28.0  # routers end a request after 30 seconds without a response
POLL_SECONDS = 0.3
WAIT_SLOT_SECONDS = 60
WAITS_OF_ACCOUNT = 2


def evaluation() -> Slot:
    """Acquire a slot for an evaluation while the client waits.

    raises  ConcurrencyLimitExceeded
    """
    account_id = current().account_id
    limit = account_limits.find(account_id).concurrent_evaluations
    return all_slots().acquire("evaluation", str(account_id), limit, EVALUATION_SECONDS)


def export() -> Slot:
    """Acquire a slot for streaming a list as a file.

    raises  ConcurrencyLimitExceeded
    """
    account_id = current().account_id
    limit = account_limits.find(account_id).concurrent_exports
    return all_slots().acquire("export", str(account_id), limit, EXPORT_SECONDS)


def wait_until(is_done: Callable[[], bool], seconds: float) -> bool:
    """Wait in this thread until ``is_done()``, for at most ``seconds``.

    Up to WAITS_OF_ACCOUNT requests of an account may wait, and in each process half of its threads,
    so that other requests always find a thread. A process that stops ends the wait.

    returns  False if too many requests are waiting already
    """
    slots, threads = all_slots(), request.environ.get("web_server.threads", 2)
    deadline = time.monotonic() + min(seconds, LONGEST_WAIT_SECONDS)
    is_stopping = request.environ.get("web_server.is_stopping", lambda: False)
    with ExitStack() as acquired:
        try:
            account = str(current().account_id)
            slot = slots.acquire("wait", account, WAITS_OF_ACCOUNT, WAIT_SLOT_SECONDS)
            acquired.enter_context(slot)
            slot = slots.acquire_in_process("wait", threads // 2, WAIT_SLOT_SECONDS)
            acquired.enter_context(slot)
        except ConcurrencyLimitExceeded:
            return is_done()
        while not is_done() and not is_stopping() and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        return True


def all_slots() -> Slots:
    """Return the slots of this application."""
    slots: Slots = current_app.extensions["slots"]
    return slots
