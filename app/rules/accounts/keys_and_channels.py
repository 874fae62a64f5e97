"""Alerts on API keys, channels and sinks, which concern the account and no domain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from app.checks.engine.types import Severity
from app.protocols import timestamps
from app.protocols.json_values import JsonValue
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule

WINDOW = timedelta(days=7)  # how long an alert about a past event stays open
DENIED_A_DAY = 20  # responses with status 403
LIMITED_A_DAY = 100  # responses with status 429
DIGEST_FAILURES = 3
SINK_FAILURE = timedelta(hours=1)
STEPS = ((1, Severity.HIGH), (7, Severity.MEDIUM), (30, Severity.LOW))


@dataclass(frozen=True, slots=True)
class Key:
    """An API key and its usage.

    denied, limited  responses with status 403 and 429 today (UTC)
    networks         source networks (/24 for IPv4, /48 for IPv6), each with its first day
    is_replaced      whether a newer key was created by rotating this one
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
    """A notification channel; ``id`` is its public id, ``failures`` counts consecutive failures."""

    id: str
    name: str
    kind: str
    is_digest: bool
    failures: int
    given_up: str | None = None


@dataclass(frozen=True, slots=True)
class Sink:
    """A system that records are forwarded to, which fails since ``failing_since``."""

    id: str
    name: str
    failing_since: datetime
    failure: str


@dataclass(frozen=True, slots=True)
class Leak:
    """An API key or upload token that was found in public; ``token`` is its public part."""

    token: str
    name: str
    reported_at: datetime
    reported_by: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class AccountPosture:
    """The keys, channels and failing sinks of an account at the time ``now``."""

    now: datetime
    keys: Sequence[Key] = ()
    channels: Sequence[Channel] = ()
    sinks: Sequence[Sink] = ()
    leaks: Sequence[Leak] = ()


def _made(posture: AccountPosture) -> Iterator[AlertDraft]:
    for key in posture.keys:
        if posture.now - key.created_at < WINDOW:
            yield _of_key(
                "key.created",
                key,
                Severity.INFO,
                "API key created",
                f"was created by {key.created_by}. "
                "If your team didn't do this, revoke it immediately.",
                createdAt=timestamps.text(key.created_at),
                by=key.created_by,
            )
        if key.revoked_at is not None and posture.now - key.revoked_at < WINDOW:
            reason = f": {key.revoked_reason}" if key.revoked_reason else ""
            yield _of_key(
                "key.revoked",
                key,
                Severity.INFO,
                "API key revoked",
                f"was revoked{reason}. Applications that used it now get 401.",
                revokedAt=timestamps.text(key.revoked_at),
                reason=key.revoked_reason,
            )


def _leaked(posture: AccountPosture) -> Iterator[AlertDraft]:
    for leak in posture.leaks:
        if posture.now - leak.reported_at < WINDOW:
            kind = token_kind(leak.token)
            yield AlertDraft(
                type="key.leaked",
                subject=leak.token,
                severity=Severity.HIGH,
                title=f"{kind[0].upper()}{kind[1:]} found in public",
                message=f"The {kind} “{leak.name}” ({leak.token}) was found in public and revoked. "
                "Create a new one, and check whether others have used it.",
                evidence={
                    "key": leak.token,
                    "name": leak.name,
                    "url": leak.url,
                    "reportedBy": leak.reported_by,
                    "reportedAt": timestamps.text(leak.reported_at),
                },
            )


def token_kind(token: str) -> str:
    """The name of this kind of token, by its prefix."""
    return "upload token" if token.startswith("mu_") else "API key"


def _expiring(posture: AccountPosture) -> Iterator[AlertDraft]:
    for key in _live(posture):
        if key.expires_at is None or key.is_replaced:
            continue
        remaining_days = (key.expires_at - posture.now).total_seconds() / 86_400
        if step := next((step for step in STEPS if remaining_days <= step[0]), None):
            yield _of_key(
                "key.expiring",
                key,
                step[1],
                "API key expires soon",
                f"expires on {key.expires_at:%Y-%m-%d} (UTC). Rotate it, and update the "
                "applications that use it.",
                expiresAt=timestamps.text(key.expires_at),
                observed=round(remaining_days, 1),
                threshold=step[0],
            )


def _used(posture: AccountPosture) -> Iterator[AlertDraft]:
    for key in _live(posture):
        if key.denied >= DENIED_A_DAY:
            yield _of_key(
                "key.scope_denied_burst",
                key,
                Severity.HIGH,
                "API key used without the required scope",
                f"got 403 responses {quantity(key.denied, 'time')} today because it lacks a "
                f"scope. It may have "
                "been leaked. If you don't recognize these calls, revoke the key; otherwise create "
                "one with the scope that the application needs.",
                observed=key.denied,
                threshold=DENIED_A_DAY,
            )
        if key.limited >= LIMITED_A_DAY:
            yield _of_key(
                "key.rate_limited",
                key,
                Severity.MEDIUM,
                "API key exceeds its rate limit",
                f"got 429 responses {quantity(key.limited, 'time')} today because it called "
                f"too often. Send "
                "fewer requests, or raise its rate limit.",
                observed=key.limited,
                threshold=LIMITED_A_DAY,
            )
        yield from _new_networks(posture, key)


def _new_networks(posture: AccountPosture, key: Key) -> Iterator[AlertDraft]:
    """An alert if a key was used from a network that it was never used from before."""
    if not key.networks:
        return
    first = min(day for _, day in key.networks)
    begin = (posture.now - WINDOW).date()
    fresh = [network for network, day in key.networks if day > first and day > begin]
    usual = [network for network, day in key.networks if network not in fresh]
    if fresh:
        yield _of_key(
            "key.new_network",
            key,
            Severity.MEDIUM,
            "API key used from a new network",
            f"was used from {', '.join(fresh[:5])} for the first time. If you don't recognize this "
            "network, revoke the key.",
            before=usual[:20],
            after=fresh[:20],
        )


def _given_up(posture: AccountPosture) -> Iterator[AlertDraft]:
    for channel in posture.channels:
        if channel.given_up is not None:
            yield AlertDraft(
                type="webhook.disabled",
                subject=channel.id,
                severity=Severity.MEDIUM,
                title="Notification channel disabled",
                message=f"The {channel.kind} channel “{channel.name}” was disabled "
                f"({channel.given_up}). It no longer delivers alerts. Fix the cause, enable the "
                "channel, and retry the failed deliveries.",
                evidence={"channel": channel.name, "reason": channel.given_up},
            )


def _digests(posture: AccountPosture) -> Iterator[AlertDraft]:
    for channel in posture.channels:
        if channel.is_digest and channel.failures >= DIGEST_FAILURES and not channel.given_up:
            yield AlertDraft(
                type="digest.failed",
                subject=channel.id,
                severity=Severity.MEDIUM,
                title="Email digest could not be sent",
                message=f"The digest of the channel “{channel.name}” failed "
                f"{quantity(channel.failures, 'time')} in a row. "
                "The channel's delivery log shows the error.",
                evidence={
                    "channel": channel.name,
                    "observed": channel.failures,
                    "threshold": DIGEST_FAILURES,
                },
            )


def _failing_sinks(posture: AccountPosture) -> Iterator[AlertDraft]:
    for sink in posture.sinks:
        if posture.now - sink.failing_since >= SINK_FAILURE:
            since = f"{sink.failing_since:%Y-%m-%d %H:%M} (UTC)"
            yield AlertDraft(
                type="sink.failing",
                subject=sink.id,
                severity=Severity.MEDIUM,
                title="Records are not forwarded",
                message=f"No records have reached “{sink.name}” since {since}. They wait, and are "
                "sent once the receiver accepts them. Check the receiver and the settings of the "
                "integration.",
                evidence={
                    "sink": sink.name,
                    "failingSince": timestamps.text(sink.failing_since),
                    "reason": sink.failure,
                },
            )


def _live(posture: AccountPosture) -> Iterator[Key]:
    for key in posture.keys:
        is_expired = key.expires_at is not None and key.expires_at <= posture.now
        if key.revoked_at is None and not is_expired:
            yield key


def _of_key(
    type: str, key: Key, severity: Severity, title: str, event: str, **evidence: JsonValue
) -> AlertDraft:
    subject = f"mp_{key.key_id}"
    message = f"The API key “{key.name}” ({subject}) {event}"
    identity = {"key": subject, "name": key.name}
    return AlertDraft(
        type=type,
        subject=subject,
        severity=severity,
        title=title,
        message=message,
        evidence={**identity, **evidence},
    )


RULES = (
    Rule(frozenset(("key.created", "key.revoked")), _made),
    Rule(frozenset(("key.leaked",)), _leaked),
    Rule(frozenset(("key.expiring",)), _expiring),
    Rule(frozenset(("key.scope_denied_burst", "key.rate_limited", "key.new_network")), _used),
    Rule(frozenset(("webhook.disabled",)), _given_up),
    Rule(frozenset(("digest.failed",)), _digests),
    Rule(frozenset(("sink.failing",)), _failing_sinks),
)
