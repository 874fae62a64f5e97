"""What has changed since yesterday: records, checks, alerts and senders."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import update

from app import ids
from app.db.transactions import transaction
from app.models import Account, Alert, DnsChange, Domain, Scan
from app.services.domain_status import dashboard, recent_changes
from app.services.domain_status.recent_changes import (
    MAX_OF_KIND,
    ChangeKind,
    RecentChange,
    RecentChanges,
)
from app.services.scans import runner
from tests.support.factories import make_account, make_domain, make_scan
from tests.support.zones import TIMEOUT, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

DAY = timedelta(days=1)
NO_POLICY = {("acme.test", "TXT"): ["v=spf1 -all"]}
WITH_POLICY = {**NO_POLICY, ("_dmarc.acme.test", "TXT"): ["v=DMARC1; p=reject"]}


@pytest.fixture
def account() -> Account:
    return make_account()


@pytest.fixture
def domain(account: Account) -> Domain:
    return make_domain(account.id, "acme.test")


def scan(account: Account, records: Mapping[Any, Any]) -> UUID:
    made = make_scan(account.id, "acme.test")
    runner.run([made.id], ZoneNetwork(Zone(dict(records))))
    return made.id


def changes(account: Account, since: timedelta = DAY) -> RecentChanges:
    with transaction(readonly=True) as session:
        return recent_changes.read(session, account.id, datetime.now(UTC) - since)


def of(kind: ChangeKind, account: Account) -> list[RecentChange]:
    return [change for change in changes(account).listed if change.kind is kind]


def test_first_scan_changes_no_record_and_no_check(account: Account, domain: Domain) -> None:
    scan(account, NO_POLICY)
    assert of(ChangeKind.RECORD, account) == []
    assert of(ChangeKind.CHECK, account) == []
    assert of(ChangeKind.ALERT, account) != []


def test_records_and_checks_that_changed_are_sentences(account: Account, domain: Domain) -> None:
    scan(account, NO_POLICY)
    scan(account, WITH_POLICY)
    (record,) = of(ChangeKind.RECORD, account)
    assert record.text == "The TXT record at _dmarc.acme.test was added."
    better = [change for change in of(ChangeKind.CHECK, account) if change.check == "dmarc"]
    assert [change.is_good for change in better] == [True]
    assert better[0].text.startswith("DMARC became better: ")
    assert better[0].text.endswith("previously Fail.")
    assert any(change.is_good for change in of(ChangeKind.RESOLVED, account))
    scan(account, NO_POLICY)
    texts = [change.text for change in of(ChangeKind.RECORD, account)]
    assert texts[0] == "The TXT record at _dmarc.acme.test was removed."
    worse = [change for change in of(ChangeKind.CHECK, account) if change.check == "dmarc"]
    assert (worse[0].is_good, worse[1].is_good) == (False, True)


def test_undetermined_check_is_no_change(account: Account, domain: Domain) -> None:
    scan(account, WITH_POLICY)
    records: dict[Any, Any] = {**WITH_POLICY, ("_dmarc.acme.test", "TXT"): TIMEOUT}
    scan(account, records)
    assert [change for change in of(ChangeKind.CHECK, account) if change.check == "dmarc"] == []


def test_changes_of_another_account_and_before_are_not_listed(
    account: Account, domain: Domain
) -> None:
    scan(account, NO_POLICY)
    scan(account, WITH_POLICY)
    assert changes(make_account()).listed == []
    assert changes(account, since=-DAY).listed == []
    with transaction() as session:
        session.execute(update(Scan).values(finished_at=datetime.now(UTC) - 2 * DAY))
        session.execute(update(Alert).values(resolved_at=None))
    kinds = {change.kind for change in changes(account).listed}
    assert kinds == {ChangeKind.RECORD, ChangeKind.ALERT}


def test_a_new_source_is_a_new_sender(account: Account, domain: Domain) -> None:
    with transaction() as session:
        session.add(
            Alert(
                account_id=account.id,
                domain_id=domain.id,
                domain_name=domain.name,
                type="source.new",
                subject="service:mailer",
                severity="medium",
                title="New source sends as your domain",
                message="acme.test: Mailer sent 60 messages as this domain; 2 of them failed.",
            )
        )
    (change,) = changes(account).listed
    assert change.kind is ChangeKind.SENDER
    assert change.text == "New sender: Mailer sent 60 messages as this domain."


def test_many_changes_are_counted_and_only_the_newest_are_listed(
    account: Account, domain: Domain
) -> None:
    now = datetime.now(UTC)
    with transaction() as session:
        session.add_all(
            DnsChange(
                id=ids.new(),
                account_id=account.id,
                domain_id=domain.id,
                scan_id=ids.new(),
                at=now + timedelta(seconds=number),
                check="spf",
                name=f"n{number}.acme.test",
                type="TXT",
                before=["a"],
                after=["b"],
            )
            for number in range(20)
        )
    recent = changes(account)
    texts = [change.text for change in recent.listed]
    assert texts[0] == "The TXT record at n19.acme.test changed."
    assert (len(texts), recent.more) == (MAX_OF_KIND, 20 - MAX_OF_KIND)


def test_overview_has_the_changes_of_the_last_day(account: Account, domain: Domain) -> None:
    scan(account, NO_POLICY)
    scan(account, WITH_POLICY)
    overview = dashboard.of_account(account.id, 30)
    assert {change.kind for change in overview.recent.listed} >= {
        ChangeKind.RECORD,
        ChangeKind.CHECK,
        ChangeKind.ALERT,
        ChangeKind.RESOLVED,
    }
