"""The table of domains: orders, filters, counts, mail figures and bulk changes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, update

from app.analysis.mail.periods import hour_of
from app.db.transactions import transaction
from app.errors import InvalidRequest, NotFound
from app.models import Account, AuditEvent, DmarcHour, DmarcWeek, Domain, DomainMail
from app.services.accounts import accounts
from app.services.alerts import alerts
from app.services.alerts.alerts import AlertChange, AlertFilter
from app.services.core import domain_lookup
from app.services.domain_status import (
    dashboard,
    domain_pages,
    domain_table,
    mail_figures,
    saved_views,
)
from app.services.domain_status.domain_list import DomainFilter
from app.services.domains import bulk_edits, domains
from app.services.scans import runner
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

NOW = hour_of(datetime.now(UTC))


@pytest.fixture
def account() -> Account:
    return make_account()


def add(account: Account, name: str, **columns: Any) -> UUID:
    """Add a domain with these values of its columns."""
    domain = make_domain(account.id, name)
    if columns:
        with transaction() as session:
            session.execute(update(Domain).where(Domain.id == domain.id).values(**columns))
    return domain.id


def add_mail(account: Account, domain_id: UUID, messages: int, passed: int) -> None:
    with transaction() as session:
        row = DomainMail(
            domain_id=domain_id,
            account_id=account.id,
            messages=messages,
            passed=passed,
            version=0,
            computed_at=datetime.now(UTC),
        )
        session.add(row)


def count_messages(domain_id: UUID, hour: int, messages: int, *, spf: bool = True) -> None:
    """Add messages of an hour, as the rollup of a report does."""
    with transaction() as session:
        session.add(
            DmarcHour(
                domain_id=domain_id,
                hour=hour,
                reporter="receiver.test",
                header_from="a.test",
                disposition="none",
                dkim=False,
                spf=spf,
                trusted=True,
                messages=messages,
            )
        )
        week = session.get(DmarcWeek, (domain_id, hour // 168 * 168))
        if week is None:
            session.add(DmarcWeek(domain_id=domain_id, start=hour // 168 * 168, version=1))
        else:
            week.version += 1


def names(account: Account, limit: int = 50, **filters: Any) -> Sequence[str]:
    """The names of all domains that match, read page by page."""
    listing = domain_table.listing(account.id, DomainFilter(**filters))
    collected: list[str] = []
    cursor = None
    while True:
        rows, cursor = listing.page(cursor, limit)
        collected += [row.name for row in rows]
        if cursor is None:
            return collected


@pytest.fixture
def three(account: Account) -> Account:
    """An account with three domains, of which c.test has no value of any kind."""
    first = add(
        account,
        "a.test",
        score=90,
        dmarc_policy="reject",
        score_change=5,
        last_scan_finished_at=datetime.now(UTC),
    )
    second = add(
        account,
        "b.test",
        score=20,
        dmarc_policy="missing",
        score_change=-9,
        last_scan_finished_at=datetime.now(UTC) - timedelta(days=1),
    )
    add(account, "c.test")
    add_mail(account, first, 1_000, 999)
    add_mail(account, second, 10, 1)
    return account


@pytest.mark.parametrize("key", ["policy", "rate", "volume", "score", "trend", "lastScan"])
@pytest.mark.parametrize("limit", [1, 50])
def test_domain_without_a_value_is_last_in_both_directions(
    three: Account, key: str, limit: int
) -> None:
    assert names(three, limit, sort=key) == ["b.test", "a.test", "c.test"]
    assert names(three, limit, sort=f"-{key}") == ["a.test", "b.test", "c.test"]


def test_domains_are_in_the_order_of_their_open_alerts(account: Account) -> None:
    zone = Zone({"bad.test": ["v=spf1 +all"], "_dmarc.bad.test": ["v=DMARC1; p=none"]})
    for name in ("bad.test", "good.test"):
        make_domain(account.id, name)
    runner.run([make_scan(account.id, "bad.test").id], ZoneNetwork(zone))
    assert names(account, sort="-alerts") == ["bad.test", "good.test"]
    assert names(account, sort="alerts") == ["good.test", "bad.test"]
    assert names(account, state="alerts") == ["bad.test"]
    rows, _ = alerts.listing(account.id, AlertFilter(status="open")).page(None, 100)
    for row in rows:
        alerts.change(account.id, row.id, AlertChange("dismissed"), actor=ACTOR)
    assert names(account, state="alerts") == []


def test_scan_stores_the_policy_that_applies(account: Account) -> None:
    make_domain(account.id, "acme.test")
    assert names(account, state="unscanned") == ["acme.test"]
    policies = []
    for record in ("v=DMARC1; p=quarantine", "v=DMARC1; p=reject", "nothing"):
        zone = Zone({"acme.test": ["v=spf1 -all"], "_dmarc.acme.test": [record]})
        runner.run([make_scan(account.id, "acme.test").id], ZoneNetwork(zone))
        policies.append(domain_lookup.find(account.id, "acme.test").dmarc_policy)
    assert policies == ["quarantine", "reject", "missing"]
    assert names(account, policy="missing") == ["acme.test"]
    assert names(account, policy="reject") == []
    assert names(account, state="unscanned") == []


def test_mail_of_thirty_days_is_counted_and_renewed_after_new_reports(account: Account) -> None:
    domain_id = add(account, "a.test")
    count_messages(domain_id, NOW - 24, 60)
    count_messages(domain_id, NOW - 25, 40, spf=False)
    count_messages(domain_id, NOW - 31 * 24, 1_000)
    assert mail_figures.refresh() == 1
    assert mail_figures.refresh() == 0
    [row] = domain_table.listing(account.id, DomainFilter()).page(None, 5)[0]
    assert (row.messages, row.passed) == (100, 60)
    count_messages(domain_id, NOW - 26, 5)
    assert mail_figures.refresh() == 1
    [row] = domain_table.listing(account.id, DomainFilter()).page(None, 5)[0]
    assert (row.messages, row.passed) == (105, 65)


def test_mail_is_counted_again_every_day(account: Account) -> None:
    domain_id = add(account, "a.test")
    add_mail(account, domain_id, 100, 100)
    assert mail_figures.refresh() == 0
    with transaction() as session:
        old = datetime.now(UTC) - mail_figures.MAX_AGE - timedelta(minutes=1)
        session.execute(update(DomainMail).values(computed_at=old))
    assert mail_figures.refresh() == 1
    assert names(account, state="silent") == ["a.test"]


def test_tags_are_counted_once_for_each_domain(account: Account) -> None:
    for name, tags in (("a.test", ("shop", "eu")), ("b.test", ("shop",)), ("c.test", ())):
        make_domain(account.id, name, tags=tags)
    make_domain(make_account().id, "d.test", tags=("other",))
    listed = [(tag.name, tag.domains) for tag in domain_pages.tags(account.id)]
    assert listed == [("eu", 1), ("shop", 2)]


def test_first_scans_are_counted_until_they_are_finished(account: Account) -> None:
    assert domain_pages.first_scans(account.id) is None
    scans = []
    for name in ("a.test", "b.test"):
        make_domain(account.id, name)
        scans.append(make_scan(account.id, name).id)
    progress = domain_pages.first_scans(account.id)
    assert (progress and progress.total, progress and progress.finished) == (2, 0)
    runner.run(scans[:1], ZoneNetwork(Zone({})))
    progress = domain_pages.first_scans(account.id)
    assert (progress and progress.total, progress and progress.finished) == (2, 1)
    runner.run(scans[1:], ZoneNetwork(Zone({})))
    assert domain_pages.first_scans(account.id) is None


def tags_of(account: Account, name: str) -> Sequence[str]:
    return domain_lookup.find(account.id, name).tags


def test_tag_is_added_to_several_domains_and_the_change_undone(account: Account) -> None:
    for name, tags in (("a.test", ("x",)), ("b.test", ()), ("c.test", ("shop",))):
        make_domain(account.id, name, tags=tags)
    every = ["a.test", "b.test", "c.test", "none.test"]
    steps = bulk_edits.add_tag(account.id, every, "shop", actor=ACTOR)
    assert [step.domain for step in steps] == ["a.test", "b.test"]
    assert tags_of(account, "a.test") == ("x", "shop")
    domains.update(account.id, "b.test", {"tags": ["mine"]}, actor=ACTOR)
    assert bulk_edits.undo(account.id, steps, actor=ACTOR) == 1
    assert (tags_of(account, "a.test"), tags_of(account, "b.test")) == (("x",), ("mine",))


def test_renamed_tag_is_merged_with_an_existing_one(account: Account) -> None:
    make_domain(account.id, "a.test", tags=("old", "new"))
    make_domain(account.id, "b.test", tags=("old", "older"))
    bulk_edits.rename_tag(account.id, "old", "new", actor=ACTOR)
    assert tags_of(account, "a.test") == ("new",)
    assert tags_of(account, "b.test") == ("new", "older")
    bulk_edits.rename_tag(account.id, "new", None, actor=ACTOR)
    assert (tags_of(account, "a.test"), tags_of(account, "b.test")) == ((), ("older",))


def test_schedule_of_several_domains_is_changed_and_noted(account: Account) -> None:
    make_domain(account.id, "a.test")
    make_domain(account.id, "b.test", schedule="off")
    steps = bulk_edits.set_schedule(account.id, ["a.test", "b.test"], "off", actor=ACTOR)
    assert [step.domain for step in steps] == ["a.test"]
    assert domain_lookup.find(account.id, "a.test").next_scan_at is None
    with transaction() as session:
        noted = session.scalars(select(AuditEvent).where(AuditEvent.action == "domain.changed"))
        assert [event.target for event in noted] == ["a.test"]
    bulk_edits.undo(account.id, steps, actor=ACTOR)
    assert domain_lookup.find(account.id, "a.test").next_scan_at is not None


def test_domains_of_another_account_are_never_changed(account: Account) -> None:
    other = make_account()
    make_domain(other.id, "a.test")
    assert bulk_edits.add_tag(account.id, ["a.test"], "x", actor=ACTOR) == []
    deleted = bulk_edits.delete(account.id, ["a.test"], actor=ACTOR)
    assert (deleted.names, len(deleted.errors)) == ([], 1)
    assert tags_of(other, "a.test") == ()


def test_domain_on_legal_hold_does_not_stop_the_deletion_of_others(account: Account) -> None:
    for name in ("a.test", "b.test"):
        make_domain(account.id, name)
    domains.hold(account.id, "a.test", "a case", actor=ACTOR)
    deleted = bulk_edits.delete(account.id, ["a.test", "b.test"], actor=ACTOR)
    assert deleted.names == ["b.test"]
    assert "legal hold" in deleted.errors[0]
    assert names(account) == ["a.test"]


def test_number_of_domains_of_one_change_is_bounded(account: Account) -> None:
    too_many = [f"d{number}.test" for number in range(bulk_edits.MAX_DOMAINS + 1)]
    with pytest.raises(InvalidRequest):
        bulk_edits.add_tag(account.id, too_many, "x", actor=ACTOR)


def test_saved_view_is_replaced_by_one_with_the_same_name_and_belongs_to_its_user(
    account: Account,
) -> None:
    ann, _ = accounts.add_user(account.name, "ann@acme.test", role="member")
    bob, _ = accounts.add_user(account.name, "bob@acme.test", role="member")
    saved_views.save(ann.id, "Worst", {"sort": "score"})
    saved_views.save(ann.id, "Worst", {"sort": "rate"})
    with transaction(readonly=True) as session:
        [view] = saved_views.read(session, ann.id)
        assert saved_views.read(session, bob.id) == []
    assert view.filters == {"sort": "rate"}
    with pytest.raises(NotFound):
        saved_views.remove(bob.id, view.id)
    assert saved_views.remove(ann.id, view.id).name == "Worst"


def test_number_of_saved_views_is_bounded(account: Account) -> None:
    ann, _ = accounts.add_user(account.name, "ann@acme.test", role="member")
    for number in range(saved_views.MAX_VIEWS):
        saved_views.save(ann.id, f"view {number}", {})
    for name in ("one more", "", "x" * 61):
        with pytest.raises(InvalidRequest):
            saved_views.save(ann.id, name, {})
    saved_views.save(ann.id, "view 1", {"tag": "shop"})


def test_overview_sums_the_days_of_all_domains(account: Account) -> None:
    first, second = add(account, "a.test"), add(account, "b.test")
    today = NOW // 24 * 24
    count_messages(first, today - 24, 10)
    count_messages(second, today - 24 + 5, 7, spf=False)
    count_messages(first, today - 60 * 24, 1_000)
    mail_figures.refresh()
    overview = dashboard.of_account(account.id, 30)
    assert len(overview.email) == 30
    assert overview.email[-1] == (datetime.now(UTC).date(), {})
    assert overview.email[-2][1] == {"pass": 10, "fail": 7}
    assert sum(sum(counts.values()) for _, counts in overview.email) == 17
    assert [(row.name, row.failed, row.passed) for row in overview.failing] == [("b.test", 7, 0)]
    assert dashboard.of_account(make_account().id, 30).failing == []


def test_days_are_replaced_when_they_are_counted_again(account: Account) -> None:
    domain_id = add(account, "a.test")
    count_messages(domain_id, NOW - 24, 10)
    mail_figures.refresh()
    count_messages(domain_id, NOW - 48, 5)
    mail_figures.refresh()
    counts = [counts for _, counts in dashboard.of_account(account.id, 30).email if counts]
    assert counts == [{"pass": 5, "fail": 0}, {"pass": 10, "fail": 0}]
