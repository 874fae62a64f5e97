"""Queued scans are claimed in an order that is fair to all accounts, by reading an index."""

from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, select, update
from sqlalchemy.engine import Engine

from app import ids
from app.db.transactions import transaction
from app.models import Domain, QueueAccount, Scan
from app.services.domains import domains
from app.services.scans import claims, scans
from tests.support import claim_plans
from tests.support.factories import ACTOR, make_account, make_domain, make_scan

pytestmark = pytest.mark.usefixtures("database")

ACCOUNTS = 3
Names = dict[UUID, str]


def make_names(count: int, start: int = 0) -> Names:
    return {ids.new(): f"d{number}.test" for number in range(start, start + count)}


def make_account_with(names: Names) -> UUID:
    """An account with these domains, which are inserted at once."""
    account_id = make_account().id
    rows = [{"id": key, "account_id": account_id, "name": name} for key, name in names.items()]
    with transaction() as session:
        session.execute(insert(Domain), rows)
    return account_id


def queue(account_id: UUID, names: Mapping[UUID, str]) -> Sequence[UUID]:
    with transaction() as session:
        return scans.request_many(session, account_id, names, actor=ACTOR, trigger="schedule")


def finish(scan_ids: Sequence[UUID]) -> None:
    with transaction() as session:
        session.execute(update(Scan).where(Scan.id.in_(scan_ids)).values(status="completed"))


class History:
    """What waits and what was claimed, with the checks of both."""

    def __init__(self, accounts: Mapping[UUID, Names]) -> None:
        self._accounts = accounts
        self._free = {account: dict(names) for account, names in accounts.items()}
        self._owner: dict[UUID, UUID] = {}
        self.waiting: dict[UUID, list[UUID]] = {account: [] for account in accounts}
        self.running: list[UUID] = []
        self._advance: Counter[tuple[UUID, UUID]] = Counter()
        self._latest: dict[UUID, int] = {}
        self._claimed = 0
        self.peak = 0

    def queue(self, account: UUID, count: int) -> None:
        """Queue scans of ``count`` domains of the account."""
        names = dict(list(self._free[account].items())[:count])
        for domain_id in names:
            del self._free[account][domain_id]
        queued = queue(account, names) if names else ()
        for scan_id in queued:
            self._owner[scan_id] = account
            self.waiting[account].append(scan_id)
            position = len(self.waiting[account])
            self._latest[scan_id] = self._claimed + ACCOUNTS * (position + 2 + self.peak)

    def claim(self, count: int) -> None:
        """Claim the next scans one by one; each must be the first of its account."""
        for _ in range(count):
            batch = claims.claim_next(1)
            if not batch:
                assert not any(self.waiting.values())
                return
            self._note(batch[0].scan_id)

    def _note(self, scan_id: UUID) -> None:
        account = self._owner[scan_id]
        assert scan_id == self.waiting[account][0]
        for first, second in combinations(self._accounts, 2):
            if not self.waiting[first] or not self.waiting[second]:
                self._advance[first, second] = 0  # they do not compete
            elif account in (first, second):
                self._advance[first, second] += 1 if account == first else -1
            assert abs(self._advance[first, second]) <= 2 + self.peak
        del self.waiting[account][0]
        self._claimed += 1
        assert self._claimed <= self._latest[scan_id] + ACCOUNTS * self.peak
        self.running.append(scan_id)

    def note_running(self) -> None:
        """Note how many scans run while others may be queued."""
        self.peak = max(self.peak, len(self.running))

    def finish(self, count: int) -> None:
        """Complete the scans that were claimed first."""
        finish(self.running[:count])
        del self.running[:count]


actions = st.lists(
    st.tuples(
        st.sampled_from(("queue", "queue", "claim", "finish")),
        st.integers(0, ACCOUNTS - 1),
        st.integers(1, 8),
    ),
    max_size=30,
)


@pytest.fixture
def accounts(database: Engine) -> Mapping[UUID, Names]:
    """Accounts with enough domains for every example."""
    by_account = {}
    for _ in range(ACCOUNTS):
        names = make_names(30 * 8)
        by_account[make_account_with(names)] = names
    return by_account


few = hypothesis_settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@given(steps=actions, is_instant=st.booleans())
@few
def test_accounts_advance_equally_and_no_scan_is_starved(
    accounts: Mapping[UUID, Names], steps: Sequence[tuple[str, int, int]], is_instant: bool
) -> None:
    """While two accounts wait, neither is ahead by more than two scans and what was running."""
    with transaction() as session:
        session.execute(delete(Scan))
        session.execute(delete(QueueAccount))
    history = History(accounts)
    for action, number, count in steps:
        if action == "queue":
            history.queue(list(accounts)[number], count)
        elif action == "claim":
            history.claim(count)
        if action == "finish" or is_instant:
            history.finish(len(history.running) if is_instant else count)
        history.note_running()
    history.claim(30 * 8 * ACCOUNTS)
    assert not any(history.waiting.values())


def test_repeated_single_scans_do_not_delay_a_waiting_account() -> None:
    """Two accounts that queue the next scan as soon as one has finished get only their share."""
    names = make_names(40)
    patient, first, second = (make_account_with(make_names(40)) for _ in range(3))
    with transaction(readonly=True) as session:
        domain_ids = {
            account: session.scalars(select(Domain.id).where(Domain.account_id == account)).all()
            for account in (patient, first, second)
        }
    queue(patient, dict(zip(domain_ids[patient], names.values(), strict=True)))
    owner = dict.fromkeys(queue(first, {domain_ids[first][0]: "d0.test"}), first)
    counts: Counter[UUID] = Counter()
    for number in range(1, 20):
        for account in (second, first):
            (scan_id,) = queue(account, {domain_ids[account][number]: f"d{number}.test"})
            owner[scan_id] = account
            (claim,) = claims.claim_next(1)
            counts[owner.get(claim.scan_id, patient)] += 1
            finish([claim.scan_id])
    assert counts[patient] >= 10


def test_repeated_requests_do_not_move_the_account_back() -> None:
    """Scans that are queued already take no further positions."""
    names = make_names(5)
    account_id = make_account_with(names)
    for _ in range(3):
        queue(account_id, names)
    with transaction(readonly=True) as session:
        starts = session.scalars(select(Scan.virtual_start).order_by(Scan.id)).all()
        last = session.scalar(select(QueueAccount.last))
    assert [start - starts[0] for start in starts] == [0, 1, 2, 3, 4]
    assert last == starts[-1]


def test_concurrent_requests_of_an_account_get_different_positions() -> None:
    parts = [make_names(50, start) for start in range(0, 400, 50)]
    account_id = make_account_with({key: name for part in parts for key, name in part.items()})
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda part: queue(account_id, part), parts))
    with transaction(readonly=True) as session:
        starts = session.scalars(select(Scan.virtual_start)).all()
    assert len(set(starts)) == 400
    assert max(starts) - min(starts) == 399


def test_concurrent_claims_are_disjoint() -> None:
    names = make_names(200)
    queued = queue(make_account_with(names), names)

    def claim(_: int) -> Sequence[UUID]:
        return [claim.scan_id for claim in claims.claim_next(25)]

    with ThreadPoolExecutor(4) as pool:
        claimed = [scan_id for batch in pool.map(claim, range(8)) for scan_id in batch]
    assert sorted(claimed) == sorted(queued)


def test_claim_reads_only_the_index_entries_that_it_returns(database: Engine) -> None:
    names = make_names(3000)
    queue(make_account_with(names), names)

    def claim() -> None:
        assert len(claims.claim_next(100)) == 100

    claim_plans.check(database, claim, "scans.is_bulk", "ix_scans_queue")


def test_leased_scan_of_a_domain_that_was_deleted_is_not_claimed() -> None:
    account_id = make_account().id
    for name in ("acme.test", "kept.test"):
        make_domain(account_id, name, schedule="off")
    make_scan(account_id, "acme.test")
    kept = make_scan(account_id, "kept.test")
    leased = claims.lease_next(2)
    domains.delete(account_id, "acme.test", actor=ACTOR)
    assert [claim.scan_id for claim in claims.with_subjects(leased)] == [kept.id]
