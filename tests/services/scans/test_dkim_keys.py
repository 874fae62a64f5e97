"""DKIM keys that several domains of an account share."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from app.jobs import queue
from app.services.domains import domains
from app.services.scans import runner, scans
from tests.support.dkim_keys import GOOD, SHORT, rsa
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import SERVFAIL, Zone, ZoneNetwork

pytestmark = pytest.mark.usefixtures("database")

OTHER = rsa(4096)


@pytest.fixture(autouse=True)
def _no_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "enqueue_scans", lambda *_, **__: True)


def shared(account_id: UUID, *names: str, key: Any = GOOD) -> Sequence[list[str]]:
    """Scan these domains with one key; return for each the domains that share its key."""
    queued = [make_scan(account_id, name) for name in names]
    texts = key if key is SERVFAIL else [f"v=DKIM1; p={key}"]
    data: Any = {f"one._domainkey.{name}": texts for name in names}
    assert runner.run([scan.id for scan in queued], ZoneNetwork(Zone(data))) == len(queued)
    return [_named(scans.find(account_id, scan.id).result) for scan in queued]


def _named(result: Any) -> list[str]:
    (dkim,) = (check for check in result["checks"] if check["check"] == "dkim")
    shared_with = [
        finding["evidence"]["domains"]
        for finding in dkim["findings"]
        if finding["code"] == "dkim.key_shared_across_domains"
    ]
    return [name for names in shared_with for name in names]


def account(*names: str) -> UUID:
    """Create an account with these domains and return its id."""
    account_id = make_account().id
    for name in names:
        make_domain(account_id, name, schedule="off", dkim_selectors=("one",))
    return account_id


def test_second_scan_reports_other_domains_with_the_same_key() -> None:
    own = account("a.test", "b.test", "c.test")
    assert shared(own, "a.test", "b.test") == [[], []]
    assert shared(own, "a.test", "b.test") == [["b.test"], ["a.test"]]
    assert shared(own, "c.test", key=SHORT) == [[]]
    assert shared(own, "c.test", key=SHORT) == [[]]


def test_domains_of_another_account_are_not_reported() -> None:
    own, others = account("a.test"), account("b.test")
    shared(own, "a.test")
    shared(others, "b.test")
    assert shared(own, "a.test") == [[]]
    assert shared(others, "b.test") == [[]]


def test_domain_with_a_new_key_no_longer_shares_it() -> None:
    own = account("a.test", "b.test")
    shared(own, "a.test", "b.test")
    assert shared(own, "b.test", key=OTHER) == [[]]
    assert shared(own, "a.test") == [[]]


def test_failed_lookup_keeps_the_known_key() -> None:
    own = account("a.test", "b.test")
    shared(own, "a.test", "b.test")
    shared(own, "b.test", key=SERVFAIL)
    assert shared(own, "a.test") == [["b.test"]]


def test_deleted_domain_is_no_longer_reported() -> None:
    own = account("a.test", "b.test")
    shared(own, "a.test", "b.test")
    domains.delete(own, "b.test", actor=ACTOR)
    assert shared(own, "a.test") == [[]]
