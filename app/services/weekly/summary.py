"""The weekly summary of the domains that a channel is about."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, func, or_, select
from sqlalchemy.orm import Session

from app import ids, settings
from app.analysis.mail.periods import Window
from app.models import Account, Alert, Channel, Domain, DomainMail
from app.models.alerts import ACTIVE
from app.protocols import timestamps
from app.protocols.quantities import quantity
from app.services.analytics import sending
from app.services.core import domain_lookup
from app.services.domain_status import recent_changes
from app.services.domain_status.recent_changes import ChangeKind, RecentChange
from app.services.weekly.schedules import WEEKDAYS
from app.services.weekly.weekly_email import Line, Section, SummaryContent

MAX_LINES = 5  # senders and domains
MAX_CHANGES = 15
_STEPS = {
    "missing": "Publish a DMARC record with p=none and a report address.",
    "none": "See whether the reports allow p=quarantine.",
    "quarantine": "See whether the reports allow p=reject.",
}
_SEVERITIES = ("critical", "high", "medium", "low", "info")


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """What a summary is about, and when the channel sends it.

    since, now  the period, in UTC
    """

    since: datetime
    now: datetime
    weekday: int
    hour: int
    time_zone: str


def read(session: Session, channel: Channel, period: Period) -> SummaryContent:
    """Return the summary; runs in the caller's transaction."""
    account = session.get_one(Account, channel.account_id)
    scope = _scope(channel)
    changes = recent_changes.read(session, channel.account_id, period.since, scope)
    domains = _condition(channel)
    messages, passed = _totals(session, domains)
    count = len(changes.listed) + changes.more
    headline = f"{quantity(count, 'change')}"
    if messages:
        headline += f", {_share(passed, messages)} of the email of 30 days passed DMARC"
    zone = timestamps.find_zone(period.time_zone) or timestamps.UTC_ZONE
    weekday = WEEKDAYS[period.weekday]
    return SummaryContent(
        account_name=account.name,
        period=f"{timestamps.local_text(period.since, zone)} to "
        f"{timestamps.local_text(period.now, zone)}",
        schedule=f"It is sent every {weekday} at {period.hour:02}:00, {period.time_zone}.",
        headline=headline,
        sections=[
            _changed(changes.listed, changes.more),
            _senders(session, domains, period, changes.listed),
            _policies(session, domains),
        ],
        next_step=_next_step(session, channel, scope),
        base_url=settings.current().base_url,
    )


def _condition(channel: Channel) -> ColumnElement[bool]:
    """The condition for the domains that the channel is about, by its filters."""
    conditions = [Domain.account_id == channel.account_id]
    if channel.domains:
        conditions.append(Domain.name.in_(channel.domains))
    if channel.tags:
        tagged = [domain_lookup.with_tag(select(Domain.id), tag) for tag in channel.tags]
        conditions.append(or_(*[Domain.id.in_(statement) for statement in tagged]))
    combined: ColumnElement[bool] = conditions[0]
    for condition in conditions[1:]:
        combined = combined & condition
    return combined


def _scope(channel: Channel) -> Select[Any] | None:
    """Selects the ids of these domains; None if the channel has no filters of domains."""
    if not channel.domains and not channel.tags:
        return None
    return select(Domain.id).where(_condition(channel))


def _totals(session: Session, domains: ColumnElement[bool]) -> tuple[int, int]:
    sums = select(func.sum(DomainMail.messages), func.sum(DomainMail.passed))
    joined = sums.join(Domain, Domain.id == DomainMail.domain_id).where(domains)
    messages, passed = session.execute(joined).one()
    return int(messages or 0), int(passed or 0)


def _changed(listed: Sequence[RecentChange], more: int) -> Section:
    lines = [_change_line(change) for change in listed[:MAX_CHANGES]]
    rest = more + len(listed) - len(lines)
    if rest:
        lines.append(Line(f"{quantity(rest, 'more change')}.", f"{_base()}/alerts?sort=newest"))
    return Section("What changed", lines, "Nothing changed: no record, no check and no alert.")


def _change_line(change: RecentChange) -> Line:
    if change.alert_id is not None:
        path = f"/alerts/{ids.public('alert', change.alert_id)}"
    elif change.kind is ChangeKind.RECORD:
        path = f"/domains/{change.domain}/history"
    else:
        path = f"/domains/{change.domain}#check-{change.check}"
    return Line(f"{change.domain or 'Account'}: {change.text}", _base() + path)


def _senders(
    session: Session,
    domains: ColumnElement[bool],
    period: Period,
    listed: Sequence[RecentChange],
) -> Section:
    """The senders with the most messages, among the domains with the most email."""
    window = Window.between(period.since, period.now)
    largest = session.scalars(
        select(Domain)
        .join(DomainMail, DomainMail.domain_id == Domain.id)
        .where(domains, DomainMail.messages > 0)
        .order_by(DomainMail.messages.desc(), Domain.name)
        .limit(MAX_LINES)
    ).all()
    found = [
        (source, domain)
        for domain in largest
        for source in sending.load(session, domain, window).sources
    ]
    found.sort(key=lambda item: (-item[0].messages, item[0].key, item[1].name))
    lines = [
        Line(
            f"{source.service.name} sent {quantity(source.messages, 'message')} as {domain.name}",
            f"{_base()}/domains/{domain.name}/mail?days=7",
            f"{_share(source.passed, source.messages)} passed DMARC.",
        )
        for source, domain in found[:MAX_LINES]
    ]
    lines += [_change_line(change) for change in listed if change.kind is ChangeKind.SENDER]
    return Section("Who sends", lines, "No reports about email were received for this period.")


def _policies(session: Session, domains: ColumnElement[bool]) -> Section:
    """The domains without full protection, those with the most email first."""
    messages = func.coalesce(DomainMail.messages, 0)
    rows = session.execute(
        select(Domain.name, Domain.dmarc_policy, messages.label("messages"), DomainMail.passed)
        .outerjoin(DomainMail, DomainMail.domain_id == Domain.id)
        .where(domains, Domain.dmarc_policy.in_(_STEPS))
        .order_by(messages.desc(), Domain.name)
        .limit(MAX_LINES)
    ).all()
    lines = []
    for row in rows:
        policy = "No DMARC policy" if row.dmarc_policy == "missing" else f"p={row.dmarc_policy}"
        share = f", {_share(row.passed, row.messages)} of the email passes" if row.messages else ""
        is_missing = row.dmarc_policy == "missing"
        path = f"/domains/{row.name}" + ("#check-dmarc" if is_missing else "/policy")
        text = f"{row.name}: {policy}{share}"
        lines.append(Line(text, _base() + path, _STEPS[row.dmarc_policy]))
    return Section("Policy progress", lines, "Every domain with a known policy has p=reject.")


def _next_step(session: Session, channel: Channel, scope: Select[Any] | None) -> Line | None:
    """The problem to fix first: of the worst severity, that of the most domains."""
    statement = (
        select(
            Alert.type,
            Alert.severity,
            func.min(Alert.title).label("title"),
            func.count(Alert.domain_id.distinct()).label("domains"),
        )
        .where(Alert.account_id == channel.account_id, Alert.status.in_(ACTIVE))
        .group_by(Alert.type, Alert.severity)
    )
    if scope is not None:
        statement = statement.where(Alert.domain_id.in_(scope))
    rows = session.execute(statement).all()
    if not rows:
        return None
    worst = min(rows, key=lambda row: (_SEVERITIES.index(row.severity), -row.domains, row.type))
    where = f" ({quantity(worst.domains, 'domain')})" if worst.domains else ""
    return Line(
        f"{worst.title}{where}", f"{_base()}/alerts?type={worst.type}&severity={worst.severity}"
    )


def _share(part: int, whole: int) -> str:
    """The part of the whole in percent; 100 % only for all of it."""
    percent = 99.9 if part < whole and part * 1_000 >= whole * 999.5 else 100 * part / whole
    return f"{percent:.1f}".removesuffix(".0") + " %"


def _base() -> str:
    return settings.current().base_url
