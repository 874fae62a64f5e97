"""One attempt to send records to a sink, and how a record that is refused is found.

A receiver that refuses the content of a request does not say which record is the reason. The
first records are then sent one by one. Those that are refused while others are accepted are
skipped. If all of the first ones are refused, records from the rest of the batch are tried as well,
and sent again later. If these are refused too, the receiver or its settings are the reason, and
nothing is skipped.
"""

import logging
from collections.abc import Sequence
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
    """

    done: int
    rejected: dict[str, str] = field(default_factory=dict)
    error: str | None = None
    retry_after: str = ""


async def send(row: RecordSink, records: Sequence[Record], network: NetworkSession) -> Result:
    """Send the records, and return the result; no exception but a stop leaves this function."""
    try:
        config = sinks.config_of(row)
    except encryption.DecryptionError:
        return Result(0, error=SECRET_UNREADABLE)
    forwarded = [forwarded_form(record) for record in records]
    try:
        outcome = await _send(config, forwarded, network)
        if outcome.is_refused and len(records) > 1:
            outcome = await _send_singly(config, forwarded, network)
            return _result(outcome, records[:MAX_SINGLE])
    except Exception:  # a defect in one sink type must not stop the others
        logger.exception("forwarding failed with an unexpected error", extra={"sink": str(row.id)})
        return Result(0, error="not sent because of an internal error in mailwatch")
    return _result(outcome, records)


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
    rejected: dict[int, str] = {}
    accepted = 0
    for index, record in enumerate(records[:MAX_SINGLE]):
        outcome = await _send(config, [record], network)
        if outcome.error is None:
            accepted += 1
        elif outcome.is_refused:
            rejected[index] = outcome.error
        else:
            done = index if accepted else 0
            return Outcome(
                outcome.error, accepted=done, rejected=rejected, retry_after=outcome.retry_after
            )
    if accepted or await _accepts_any(config, records[MAX_SINGLE:], network):
        return Outcome(rejected=rejected)
    return Outcome(f"every record was refused: {rejected[0]}", is_refused=True)


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
    rejected = {
        records[index]["id"]: reason for index, reason in outcome.rejected.items() if index < done
    }
    return Result(
        done=done, rejected=rejected, error=outcome.error, retry_after=outcome.retry_after
    )
