"""Scheduled evaluation of API keys, channels and accepted risks, and reminders of open alerts."""

import ipaddress
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from app import ids
from app.checks.engine.types import Severity
from app.db import transactions
from app.db.transactions import transaction
from app.models import (
    Account,
    Alert,
    ApiKey,
    ApiKeyAddress,
    ApiKeyUsage,
    Channel,
    Domain,
    RecordSink,
    TokenLeak,
)
from app.models.alerts import LIVE
from app.protocols.quantities import quantity
from app.rules.accounts import acceptances, keys_and_channels
from app.rules.accounts.acceptances import AcceptedRisk, AcceptedRisks
from app.rules.accounts.keys_and_channels import AccountPosture
from app.services.alerts import evaluation, transitions
from app.services.alerts.evaluation import Evaluation
from app.services.alerts.transitions import Transition

REMIND_AFTER = timedelta(days=7)
REMIND_OF_POLICY_AFTER = timedelta(days=30)
REMINDED = tuple(s.value for s in Severity if s.rank <= Severity.MEDIUM.rank)
BATCH_SIZE = 500


def check_accounts() -> int:
    """Evaluate the key and channel rules for every account, and return the number of accounts."""
    with transaction(readonly=True) as session:
        account_ids = session.scalars(select(Account.id).order_by(Account.id)).all()
    for account_id in account_ids:
        with transaction() as session:
            check_account(session, account_id)
    return len(account_ids)


def check_account(session: Session, account_id: UUID) -> None:
    """Evaluate the key and channel rules for one account, in the caller's transaction."""
    owner = session.scalar(
        select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    )
    if owner is None:
        return
    now = transactions.now(session)
    posture = AccountPosture(
        now=now,
        keys=_keys(session, account_id, now),
        channels=_channels(session, owner),
        sinks=_failing_sinks(session, account_id),
        leaks=_leaks(session, account_id, now),
    )
    live = evaluation.live_account_alerts(session, owner.id)
    evaluation.evaluate(session, Evaluation(owner, posture, live), keys_and_channels.RULES)


def check_accepted_risks() -> int:
    """Evaluate the accepted risks, and return how many domains and accounts have any."""
    with transaction() as session:
        now = transactions.now(session)
        is_relevant = or_(Alert.accepted_until.is_not(None), Alert.type == acceptances.EXPIRING)
        by_owner: dict[tuple[UUID, UUID | None], list[Alert]] = defaultdict(list)
        for alert in session.scalars(
            select(Alert)
            .where(Alert.status.in_(LIVE), is_relevant)
            .order_by(Alert.id)
            .with_for_update()
        ):
            by_owner[(alert.account_id, alert.domain_id)].append(alert)
        for (account_id, domain_id), owner_alerts in by_owner.items():
            owner: Any = (
                session.get(Domain, domain_id) if domain_id else session.get(Account, account_id)
            )
            posture = AcceptedRisks(now, _accepted_risks(owner_alerts))
            live = [alert for alert in owner_alerts if alert.type == acceptances.EXPIRING]
            evaluation.evaluate(session, Evaluation(owner, posture, live), acceptances.RULES)
        return len(by_owner)


def remind() -> int:
    """Send reminders of alerts that stay open, every REMIND_AFTER, and return how many.

    A DMARC policy that could be stricter has a reminder every REMIND_OF_POLICY_AFTER although its
    severity is low, because it is easily forgotten.
    """
    with transaction() as session:
        now = transactions.now(session)
        notified_at = func.coalesce(Alert.reminded_at, Alert.first_seen_at)
        due = session.scalars(
            select(Alert)
            .where(
                Alert.status == "open",
                or_(
                    and_(Alert.severity.in_(REMINDED), notified_at <= now - REMIND_AFTER),
                    and_(
                        Alert.type == "dmarc.policy_none_standing",
                        notified_at <= now - REMIND_OF_POLICY_AFTER,
                    ),
                ),
            )
            .order_by(Alert.id)
            .limit(BATCH_SIZE)
            .with_for_update(skip_locked=True)
        ).all()
        for alert in due:
            days = (now - alert.first_seen_at).days
            note = f"still open; first seen {quantity(days, 'day')} ago"
            transitions.transition(
                session, alert, Transition("open", note=note, event="alert.reminded"), now
            )
        return len(due)


def _keys(session: Session, account_id: UUID, now: datetime) -> list[keys_and_channels.Key]:
    """Return the keys that a rule may apply to: usable, or recently revoked or expired."""
    recent = now - keys_and_channels.WINDOW
    rows = session.scalars(
        select(ApiKey).where(
            ApiKey.account_id == account_id,
            or_(ApiKey.revoked_at.is_(None), ApiKey.revoked_at > recent),
            or_(ApiKey.expires_at.is_(None), ApiKey.expires_at > recent),
        )
    ).all()
    key_ids = [row.id for row in rows]
    refused = _refused_today(session, key_ids, now.date())
    networks = _networks(session, key_ids)
    replaced = set(
        session.scalars(select(ApiKey.rotated_from).where(ApiKey.rotated_from.in_(key_ids)))
    )
    return [
        keys_and_channels.Key(
            key_id=row.key_id,
            name=row.name,
            created_at=row.created_at,
            created_by=row.created_by,
            expires_at=row.expires_at,
            revoked_at=row.revoked_at,
            revoked_reason=row.revoked_reason,
            denied=refused.get((row.id, 403), 0),
            limited=refused.get((row.id, 429), 0),
            networks=networks.get(row.id, ()),
            is_replaced=row.id in replaced,
        )
        for row in rows
    ]


def _refused_today(
    session: Session, key_ids: Sequence[UUID], today: date
) -> Mapping[tuple[UUID, int], int]:
    rows = session.execute(
        select(ApiKeyUsage.api_key_id, ApiKeyUsage.status, func.sum(ApiKeyUsage.count))
        .where(
            ApiKeyUsage.api_key_id.in_(key_ids),
            ApiKeyUsage.day == today,
            ApiKeyUsage.status.in_((403, 429)),
        )
        .group_by(ApiKeyUsage.api_key_id, ApiKeyUsage.status)
    )
    return {(key_id, status): int(count) for key_id, status, count in rows}


def _networks(
    session: Session, key_ids: Sequence[UUID]
) -> Mapping[UUID, Sequence[tuple[str, date]]]:
    """Return the networks that each key was used from, each with its first day."""
    rows = session.execute(
        select(ApiKeyAddress.api_key_id, ApiKeyAddress.address, func.min(ApiKeyAddress.day))
        .where(ApiKeyAddress.api_key_id.in_(key_ids))
        .group_by(ApiKeyAddress.api_key_id, ApiKeyAddress.address)
    )
    by_key: dict[UUID, dict[str, date]] = defaultdict(dict)
    for key_id, address, day in rows:
        network = _network(address)
        by_key[key_id][network] = min(by_key[key_id].get(network, day), day)
    return {key_id: sorted(networks.items()) for key_id, networks in by_key.items()}


def _network(address: str) -> str:
    """Return the /24 of an IPv4 address or the /48 of an IPv6 address: usually one site."""
    try:
        bits = 24 if ipaddress.ip_address(address).version == 4 else 48
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return address


def _channels(session: Session, owner: Account) -> list[keys_and_channels.Channel]:
    rows = session.scalars(select(Channel).where(Channel.account_id == owner.id)).all()
    return [
        keys_and_channels.Channel(
            id=ids.public("chan", row.id),
            name=row.name,
            kind=row.kind,
            is_digest=row.cadence != "immediate",
            failures=row.failures,
            given_up=row.disabled_reason if row.disabled_at else None,
        )
        for row in rows
    ]


def _failing_sinks(session: Session, account_id: UUID) -> list[keys_and_channels.Sink]:
    rows = session.scalars(
        select(RecordSink).where(
            RecordSink.account_id == account_id, RecordSink.paused_at.is_(None)
        )
    )
    return [
        keys_and_channels.Sink(
            id=ids.public("sink", row.id),
            name=row.name,
            failing_since=row.failing_since,
            failure=row.failure or "",
        )
        for row in rows
        if row.failing_since is not None
    ]


def _leaks(session: Session, account_id: UUID, now: datetime) -> list[keys_and_channels.Leak]:
    rows = session.scalars(
        select(TokenLeak).where(
            TokenLeak.account_id == account_id,
            TokenLeak.reported_at > now - keys_and_channels.WINDOW,
        )
    )
    return [
        keys_and_channels.Leak(
            token=row.token,
            name=row.name,
            reported_at=row.reported_at,
            reported_by=row.reported_by,
            url=row.url,
        )
        for row in rows
    ]


def _accepted_risks(alerts_of_owner: Iterable[Alert]) -> list[AcceptedRisk]:
    """Return the accepted risks among the alerts."""
    return [
        AcceptedRisk(
            id=ids.public("alert", alert.id),
            type=alert.type,
            title=alert.title,
            owner=alert.risk_owner,
            until=alert.accepted_until,
        )
        for alert in alerts_of_owner
        if alert.status == "dismissed" and alert.accepted_until is not None
    ]
