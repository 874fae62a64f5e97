"""Limits on concurrent expensive requests of the caller's account."""

from flask import current_app

from app.api.http.auth import current
from app.limits.concurrency import Slot, Slots
from app.services.api_keys import account_limits

EVALUATION_SECONDS = 120  # after which a slot is free again if its process was killed
EXPORT_SECONDS = 600


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


def all_slots() -> Slots:
    """Return the slots of this application."""
    slots: Slots = current_app.extensions["slots"]
    return slots
