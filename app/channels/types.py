"""The outcome of one attempt to reach a receiver."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Outcome:
    """One try; ``error`` None: the receiver has it.

    status          of HTTP or SMTP, where there was an answer
    error           why not, in words that tell nothing of what the receiver answered beyond that
    retry_after     seconds that the receiver asks us to wait, as it wrote them
    delivered_to    of an email: ids of the recipients whose message the mail server accepted
    disable_reason  why nothing more can be sent to this channel; None if it can be retried
    """

    status: int | None = None
    error: str | None = None
    retry_after: str = ""
    disable_reason: str | None = None
    delivered_to: tuple[str, ...] = ()


class BadTarget(ValueError):
    """Nothing that can be delivered to; the message says why."""
