"""The list of alerts in the dashboard, comments and assignments."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Integer, insert, literal, literal_column, select, text
from sqlalchemy.engine import Engine

from app import ids
from app.checks.engine.types import Severity
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, Alert, AuditEvent, Event
from app.models.alerts import SEVERITY_RANK_SQL
from app.services.accounts import accounts
from app.services.alerts import alert_lists, alert_notes, alert_pages, alerts
from app.services.alerts.alert_lists import ListFilter
from tests.support import query_plans
from tests.support.factories import ACTOR, make_account, make_domain

pytestmark = pytest.mark.usefixtures("database")

SEVERITIES = ("low", "critical", "medium", "high", "critical")


@pytest.fixture
def account() -> Account:
    account = make_account()
    accounts.add_user(account.name, "ann@acme.test", role="member")
    return account


@pytest.fixture
def opened(account: Account) -> list[UUID]:
    """Alerts of two domains, of these severities, oldest first."""
    names = ("a.test", "b.test")
    domains = [make_domain(account.id, name) for name in names]
    rows = []
    for number, severity in enumerate(SEVERITIES):
        domain = domains[number % 2]
        rows.append(
            Alert(
                id=ids.new(),
                account_id=account.id,
                domain_id=domain.id,
                domain_name=domain.name,
                type="spf.missing" if number % 2 else "dmarc.missing",
                subject=f"s{number}.{domain.name}",
                severity=severity,
                title=f"Problem {number}",
                message="",
                cause_id=UUID(int=number // 2 + 1),
            )
        )
    row_ids = [row.id for row in rows]
    with transaction() as session:
        session.add_all(rows)
    return row_ids


def numbers(account: Account, opened: Sequence[UUID], **filters: Any) -> list[int]:
    """The alerts of the list by their number, read two at a time."""
    selected = ListFilter(**{"status": "open", **filters})
    collected, cursor = [], None
    while True:
        page = alert_lists.page(account.id, selected, cursor, 2)
        collected += [opened.index(row.id) for row in page.alerts]
        cursor = page.cursor_values
        if cursor is None:
            return collected


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [4, 1, 3, 2, 0]),  # the most severe first, then the newest
        ({"sort": "newest"}, [4, 3, 2, 1, 0]),
        ({"sort": "oldest"}, [0, 1, 2, 3, 4]),
        ({"group": "domain"}, [4, 2, 0, 1, 3]),
        ({"group": "cause"}, [4, 3, 2, 1, 0]),
        ({"q": "b.TEST"}, [1, 3]),
        ({"q": "problem 3"}, [3]),
        ({"q": "%"}, []),
        ({"domain": "a.te"}, [4, 2, 0]),
        ({"type": "spf.*", "severity": "critical"}, [1]),
    ],
)
def test_list_is_in_this_order(
    account: Account, opened: list[UUID], filters: dict[str, Any], expected: list[int]
) -> None:
    assert numbers(account, opened, **filters) == expected


def test_alerts_are_counted_by_status_with_the_same_filters(
    account: Account, opened: list[UUID]
) -> None:
    alerts.change(account.id, opened[1], alerts.AlertChange("acknowledged"), actor=ACTOR)
    counts = alert_lists.page(account.id, ListFilter("open"), None, 2).counts
    assert counts == {"open": 4, "acknowledged": 1, "snoozed": 0, "dismissed": 0}
    counts = alert_lists.page(account.id, ListFilter("open", domain="a.test"), None, 2).counts
    assert counts["open"] == 3


@pytest.mark.parametrize("group", [None, "domain", "cause"])
@pytest.mark.parametrize("sort", alert_lists.SORTS)
def test_neighbors_of_each_alert_are_those_of_the_list(
    account: Account, opened: list[UUID], group: str | None, sort: str
) -> None:
    filters = ListFilter("open", group=group, sort=sort)
    order = [opened[n] for n in numbers(account, opened, group=group, sort=sort)]
    for index, alert_id in enumerate(order):
        neighbors = alert_pages.find(account.id, alert_id, filters).neighbors
        assert neighbors.previous == (order[index - 1] if index else None)
        assert neighbors.following == (order[index + 1] if index < len(order) - 1 else None)


def test_alert_that_no_longer_matches_still_has_neighbors(
    account: Account, opened: list[UUID]
) -> None:
    alerts.change(account.id, opened[1], alerts.AlertChange("acknowledged"), actor=ACTOR)
    neighbors = alert_pages.find(account.id, opened[1], ListFilter("open")).neighbors
    assert (neighbors.previous, neighbors.following) == (opened[4], opened[3])


def test_comment_is_in_the_history_without_an_event(account: Account, opened: list[UUID]) -> None:
    with transaction() as session:
        events = len(session.scalars(select(Event)).all())
    alert_notes.comment(account.id, opened[0], "Ticket 4711", actor="user:ann@acme.test")
    entry = alerts.history(account.id, opened[0])[-1]
    assert (entry.type, entry.from_status, entry.to_status) == ("alert.commented", "open", "open")
    assert (entry.note, entry.actor) == ("Ticket 4711", "user:ann@acme.test")
    with transaction() as session:
        assert len(session.scalars(select(Event)).all()) == events
        actions = session.scalars(select(AuditEvent.action)).all()
    assert "alert.commented" in actions
    for comment in ("", "x" * (alert_notes.MAX_COMMENT + 1)):
        with pytest.raises(InvalidRequest):
            alert_notes.comment(account.id, opened[0], comment, actor=ACTOR)
    with pytest.raises(NotFound):
        alert_notes.comment(make_account().id, opened[0], "mine", actor=ACTOR)


def assignees(account: Account, opened: list[UUID]) -> list[str | None]:
    return [alerts.find(account.id, alert_id).assignee for alert_id in opened]


def test_alerts_are_assigned_and_the_change_is_undone(account: Account, opened: list[UUID]) -> None:
    public = [ids.public("alert", alert_id) for alert_id in opened[:2]]
    steps = alert_notes.assign(account.id, [*public, "alert_x"], "ann@acme.test", actor=ACTOR)
    assert assignees(account, opened)[:3] == ["ann@acme.test", "ann@acme.test", None]
    assert numbers(account, opened, assignee="ann@acme.test") == [1, 0]
    assert numbers(account, opened, assignee="none") == [4, 3, 2]
    assert alert_notes.assign(account.id, public, "ann@acme.test", actor=ACTOR) == []
    alert_notes.assign(account.id, public[:1], None, actor=ACTOR)
    assert alert_notes.undo(account.id, steps, actor=ACTOR) == 1
    assert assignees(account, opened) == [None] * 5


def test_alert_is_only_assigned_to_an_active_user_of_the_account(
    account: Account, opened: list[UUID]
) -> None:
    accounts.add_user(make_account().name, "eve@other.test", role="owner")
    public = [ids.public("alert", opened[0])]
    for email in ("eve@other.test", "none@acme.test"):
        with pytest.raises(InvalidRequest):
            alert_notes.assign(account.id, public, email, actor=ACTOR)
    other = make_account()
    accounts.add_user(other.name, "bob@other.test", role="owner")
    assert alert_notes.assign(other.id, public, "bob@other.test", actor=ACTOR) == []
    assert assignees(account, opened)[0] is None


@pytest.mark.parametrize("filters", [{}, {"severity": "low"}])
def test_page_does_not_read_and_sort_all_alerts(
    database: Engine, account: Account, filters: dict[str, Any]
) -> None:
    rows = [
        {
            "id": ids.new(),
            "account_id": account.id,
            "type": f"type.{number}",
            "subject": "s",
            "severity": SEVERITIES[number % len(SEVERITIES)],
            "title": "Problem",
            "message": "",
        }
        for number in range(3_000)
    ]
    with transaction() as session:
        session.execute(insert(Alert), rows)
        session.execute(text("ANALYZE"))
    chosen = ListFilter(status="open", **filters)
    plans = query_plans.plans(database, lambda: alert_lists.page(account.id, chosen, None, 50))
    [plan] = [plan for query, plan in plans.items() if "LIMIT" in query]
    assert "ix_alerts_by_severity" in plan
    assert "B-TREE" not in plan
    assert "Sort" not in plan


def test_rank_in_the_database_is_that_of_the_severity(account: Account) -> None:
    rank = literal_column(SEVERITY_RANK_SQL, Integer)
    for severity in Severity:
        named = select(literal(severity.value).label("severity")).subquery()
        with transaction(readonly=True) as session:
            assert session.scalar(select(rank).select_from(named)) == severity.rank
