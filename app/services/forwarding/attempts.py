"""One attempt to send records to a sink, and how a record that is refused is found.

A receiver that refuses the content of a request does not say which record is the reason. The first
records are then sent one by one; after several failures of another kind as well, because one record
may make a receiver fail. Those that are refused while others are accepted are skipped. If all of
the first ones are refused, records from the rest of the batch are tried as well, and sent again
later. If these are refused too, the first ones are suspects: ``confirm`` sends records that are
stored before and after the batch. If all of them are refused, the receiver or its settings are the
reason, and nothing is skipped.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.models import RecordSink
from app.ports.network import NetworkSession
from app.services.core import encryption
from app.services.forwarding import sinks
from app.services.forwarding.records import Record
from app.sinks.types import Outcome, SinkConfig

logger = logging.getLogger(__name__)

MAX_SINGLE = 20  # records that are sent one by one in one attempt
SINGLY_AFTER = 3  # failures in a row
MAX_PROBES = 20  # records from the rest of the batch, if all of those are refused
SECRET_UNREADABLE = (
    "the stored secret cannot be decrypted, because SECRET_KEY has changed; "
    "restore the old key, or enter the secret again"
)


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an attempt.

    done         how many records from the beginning need not be sent again
    rejected     those of them that were skipped: the reason by the id of the record
    error        why the others were not accepted; None if all were
    suspects     the first records, which failed one by one while no other was accepted
    is_refused   whether the receiver refused the content
    """

    done: int
    rejected: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    retry_after: str = ""
    suspects: dict[str, str] = field(default_factory=dict)
    is_refused: bool = False


async def send(row: RecordSink, records: Sequence[Record], network: NetworkSession) -> Result:
    """Send the records, and return the result; no exception but a stop leaves this function."""

    async def attempt(config: SinkConfig) -> Result:
        forwarded = [forwarded_form(record) for record in records]
        if len(records) > 1 and row.failures < SINGLY_AFTER:
            outcome = await _send(config, forwarded, network)
            if not outcome.is_refused:
                return _result(outcome, records)
        outcome = await _send_singly(config, forwarded, network)
        return _result(outcome, records[:MAX_SINGLE])

    return await _attempted(row, attempt)


async def confirm(
    row: RecordSink,
    result: Result,
    record: Record,
    samples: Sequence[Record],
    network: NetworkSession,
) -> Result:
    """Return the result, with the suspects skipped if the receiver accepts another record.

    record   the first suspect; it is sent again after another one was accepted
    samples  records that are sent again for comparison
    """

    async def attempt(config: SinkConfig) -> Result:
        others = [forwarded_form(other) for other in samples if other["id"] not in result.suspects]
        if not await _accepts_any(config, others, network):
            return result
        outcome = await _send(config, [forwarded_form(record)], network)
        if outcome.error is None:
            return Result(1)
        return Result(len(result.suspects), rejected=result.suspects)

    return await _attempted(row, attempt)


async def _attempted(row: RecordSink, attempt: Callable[[SinkConfig], Awaitable[Result]]) -> Result:
    try:
        config = sinks.config_of(row)
    except encryption.DecryptionError:
        return Result(0, error=SECRET_UNREADABLE)
    try:
        return await attempt(config)
    except Exception:  # a defect in one sink type must not stop the others
        logger.exception("forwarding failed with an unexpected error", extra={"sink": str(row.id)})
        return Result(0, error="not sent because of an internal error in mailwatch")


def forwarded_form(record: Record) -> dict[str, Any]:
    """Return the record as sinks get it: its id has a name that receivers do not use otherwise."""
    rest = {name: value for name, value in record.items() if name not in ("id", "cursor")}
    return {"mailwatchId": record["id"], **rest}


async def _send(config: SinkConfig, records: Sequence[Record], network: NetworkSession) -> Outcome:
    return await config.send(records, network, sinks.deployment())


async def _send_singly(
    config: SinkConfig, records: Sequence[Record], network: NetworkSession
) -> Outcome:
    """Send each of the first records by itself; those that are refused while others are not."""
    failed: dict[int, str] = {}
    accepted = 0
    for index, record in enumerate(records[:MAX_SINGLE]):
        outcome = await _send(config, [record], network)
        if outcome.error is None:
            accepted += 1
            continue
        failed[index] = outcome.error
        if not outcome.is_refused:
            done = index if accepted else 0
            return Outcome(
                outcome.error, accepted=done, rejected=failed, retry_after=outcome.retry_after
            )
    if accepted or await _accepts_any(config, records[MAX_SINGLE:], network):
        return Outcome(rejected=failed)
    prefix = "every record was refused: " if len(records) > 1 else ""
    return Outcome(f"{prefix}{failed[0]}", is_refused=True, rejected=failed)


async def _accepts_any(
    config: SinkConfig, records: Sequence[Record], network: NetworkSession
) -> bool:
    """Send records from the beginning to the end of these until the receiver accepts one."""
    step = max(1, len(records) // MAX_PROBES)
    for record in records[::step][:MAX_PROBES]:
        outcome = await _send(config, [record], network)
        if not outcome.is_refused:
            return outcome.error is None
    return False


def _result(outcome: Outcome, records: Sequence[Record]) -> Result:
    done = len(records) if outcome.error is None else outcome.accepted
    reasons = {records[index]["id"]: reason for index, reason in outcome.rejected.items()}
    first = {record["id"] for record in records[:done]}
    return Result(
        done=done,
        rejected={id: reason for id, reason in reasons.items() if id in first},
        error=outcome.error,
        retry_after=outcome.retry_after,
        suspects={} if done else reasons,
        is_refused=outcome.is_refused,
    )
