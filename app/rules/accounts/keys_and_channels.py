"""What an account itself should know: how its keys are used, and whether it can be told at all."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.rules.engine.types import AlertDraft, Rule

WINDOW = timedelta(days=7)  # an alert of something that happened stands that long
DENIED_A_DAY = 20  # answers 403
LIMITED_A_DAY = 100  # answers 429
DIGEST_FAILURES = 3
STEPS = ((1, Severity.HIGH), (7, Severity.MEDIUM), (30, Severity.LOW))


@dataclass(frozen=True, slots=True)
class Key:
    """A key and its use.

    denied, limited  answers 403 and 429 today (UTC)
    networks         where calls came from, and the first day; /24 of IPv4, /48 of IPv6
    is_replaced      a newer key was made from it
    """

    key_id: str
    name: str
    created_at: datetime
    created_by: str
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
    denied: int = 0
    limited: int = 0
    networks: Sequence[tuple[str, date]] = ()
    is_replaced: bool = False


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel and how it fares; ``id`` as clients see it, ``failures`` in a row."""

    id: str
    name: str
    kind: str
    is_digest: bool
    failures: int
    given_up: str | None = None


@dataclass(frozen=True, slots=True)
class Leak:
    """A key or upload token that was found in public; ``token`` is its public part."""

    token: str
    name: str
    reported_at: datetime
    reported_by: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPosture:
    """All we know of an account, at one moment."""

    now: datetime
    keys: Sequence[Key] = ()
    channels: Sequence[Channel] = ()
    leaks: Sequence[Leak] = ()


def _made(known: AccountPosture) -> Iterator[AlertDraft]:
    for key in known.keys:
        if known.now - key.created_at < WINDOW:
            yield _of_key(
                "key.created", key, Severity.INFO, "An API key was made",
                f"was made by {key.created_by}. If nobody of you did that, revoke it at once.",
                createdAt=timestamps.text(key.created_at), by=key.created_by,
            )  # fmt: skip
        if key.revoked_at is not None and known.now - key.revoked_at < WINDOW:
            reason = f": {key.revoked_reason}" if key.revoked_reason else ""
            yield _of_key(
                "key.revoked", key, Severity.INFO, "An API key was revoked",
                f"was revoked{reason}. What used it is refused since then.",
                revokedAt=timestamps.text(key.revoked_at), reason=key.revoked_reason,
            )  # fmt: skip


def _leaked(known: AccountPosture) -> Iterator[AlertDraft]:
    for leak in known.leaks:
        if known.now - leak.reported_at < WINDOW:
            yield AlertDraft(
                "key.leaked", leak.token, Severity.HIGH,
                f"An {token_kind(leak.token)} was found in public",
                f"The {token_kind(leak.token)} “{leak.name}” ({leak.token}) was found in public "
                "and revoked. Create a new one, and check whether it was used by others.",
                {
                    "key": leak.token, "name": leak.name, "url": leak.url,
                    "reportedBy": leak.reported_by,
                    "reportedAt": timestamps.text(leak.reported_at),
                },
            )  # fmt: skip


def token_kind(token: str) -> str:
    """What people call a token with this prefix."""
    return "upload token" if token.startswith("mu_") else "API key"


def _expiring(known: AccountPosture) -> Iterator[AlertDraft]:
    for key in _live(known):
        if key.expires_at is None or key.is_replaced:
            continue
        left = (key.expires_at - known.now).total_seconds() / 86_400
        if step := next((step for step in STEPS if left <= step[0]), None):
            yield _of_key(
                "key.expiring", key, step[1], "An API key is about to end",
                f"ends on {key.expires_at:%Y-%m-%d}. Rotate it, and give the new one to what "
                "uses it.",
                expiresAt=timestamps.text(key.expires_at), observed=round(left, 1),
                threshold=step[0],
            )  # fmt: skip


def _used(known: AccountPosture) -> Iterator[AlertDraft]:
    for key in _live(known):
        if key.denied >= DENIED_A_DAY:
            yield _of_key(
                "key.scope_denied_burst", key, Severity.HIGH,
                "An API key asks for what it may not do",
                f"was refused {key.denied} times today for lack of a scope. It may be in the "
                "wrong hands; or what uses it needs another scope.",
                observed=key.denied, threshold=DENIED_A_DAY,
            )  # fmt: skip
        if key.limited >= LIMITED_A_DAY:
            yield _of_key(
                "key.rate_limited", key, Severity.MEDIUM, "An API key is over its limit",
                f"was refused {key.limited} times today for calling too often. Call less often, "
                "or have its limit raised.",
                observed=key.limited, threshold=LIMITED_A_DAY,
            )  # fmt: skip
        yield from _new_networks(known, key)


def _new_networks(known: AccountPosture, key: Key) -> Iterator[AlertDraft]:
    """Networks of the last days, of a key that was used from elsewhere before."""
    if not key.networks:
        return
    first = min(day for _, day in key.networks)
    begin = (known.now - WINDOW).date()
    fresh = [network for network, day in key.networks if day > first and day > begin]
    usual = [network for network, day in key.networks if network not in fresh]
    if fresh:
        yield _of_key(
            "key.new_network", key, Severity.MEDIUM, "An API key is used from elsewhere",
            f"was used from {', '.join(fresh[:5])}, where it was not used from before. If that is "
            "none of yours, revoke it.",
            before=usual[:20], after=fresh[:20],
        )  # fmt: skip


def _given_up(known: AccountPosture) -> Iterator[AlertDraft]:
    for channel in known.channels:
        if channel.given_up is not None:
            yield AlertDraft(
                "webhook.disabled", channel.id, Severity.MEDIUM, "A channel was disabled",
                f"The {channel.kind} channel {channel.name} was disabled: {channel.given_up}. "
                "Fix the cause, enable the channel, and replay the failed deliveries.",
                {"channel": channel.name, "reason": channel.given_up},
            )  # fmt: skip


def _digests(known: AccountPosture) -> Iterator[AlertDraft]:
    for channel in known.channels:
        if channel.is_digest and channel.failures >= DIGEST_FAILURES and not channel.given_up:
            yield AlertDraft(
                "digest.failed", channel.id, Severity.MEDIUM, "A digest cannot be sent",
                f"The digest of channel {channel.name} failed {channel.failures} times in a row. "
                "The log of the channel says why.",
                {"channel": channel.name, "observed": channel.failures,
                 "threshold": DIGEST_FAILURES},
            )  # fmt: skip


def _live(known: AccountPosture) -> Iterator[Key]:
    for key in known.keys:
        is_over = key.expires_at is not None and key.expires_at <= known.now
        if key.revoked_at is None and not is_over:
            yield key


def _of_key(
    type: str, key: Key, severity: Severity, title: str, what: str, **evidence: object
) -> AlertDraft:
    subject = f"mp_{key.key_id}"
    message = f"The key “{key.name}” ({subject}) {what}"
    about = {"key": subject, "name": key.name}
    return AlertDraft(type, subject, severity, title, message, {**about, **evidence})


RULES = (
    Rule(frozenset(("key.created", "key.revoked")), _made),
    Rule(frozenset(("key.leaked",)), _leaked),
    Rule(frozenset(("key.expiring",)), _expiring),
    Rule(frozenset(("key.scope_denied_burst", "key.rate_limited", "key.new_network")), _used),
    Rule(frozenset(("webhook.disabled",)), _given_up),
    Rule(frozenset(("digest.failed",)), _digests),
)
