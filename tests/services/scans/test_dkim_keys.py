"""Keys that several domains of an account have, from one scan to the next."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from app.jobs import queue
from app.services.domains import domains
from app.services.scans import runner, scans
from tests.support.dkim_keys import GOOD, SHORT, rsa
from tests.support.factories import ACTOR, make_account, make_domain, make_scan
from tests.support.zones import SERVFAIL, Zone, ZoneDoor

pytestmark = pytest.mark.usefixtures("database")

OTHER = rsa(4096)


@pytest.fixture(autouse=True)
def _no_bells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "enqueue_scans", lambda *_, **__: True)


def shared(account_id: UUID, *names: str, key: Any = GOOD) -> Sequence[list[str]]:
    """Scan these domains of the account, which all have that key: with whom each shares it."""
    asked = [make_scan(account_id, name) for name in names]
    texts = key if key is SERVFAIL else [f"v=DKIM1; p={key}"]
    data: Any = {f"one._domainkey.{name}": texts for name in names}
    assert runner.run([scan.id for scan in asked], ZoneDoor(Zone(data))) == len(asked)
    return [_named(scans.find(account_id, scan.id).result) for scan in asked]


def _named(result: Any) -> list[str]:
    (dkim,) = (check for check in result["checks"] if check["check"] == "dkim")
    found = [
        finding["evidence"]["domains"]
        for finding in dkim["findings"]
        if finding["code"] == "dkim.key_shared_across_domains"
    ]
    return [name for names in found for name in names]


def account(*names: str) -> UUID:
    """A new account with these domains."""
    made = make_account()
    for name in names:
        make_domain(made.id, name, schedule="off", dkim_selectors=("one",))
    return made.id


def test_the_second_scan_tells_of_the_others_with_the_same_key() -> None:
    own = account("a.test", "b.test", "c.test")
    assert shared(own, "a.test", "b.test") == [[], []]
    assert shared(own, "a.test", "b.test") == [["b.test"], ["a.test"]]
    assert shared(own, "c.test", key=SHORT) == [[]]
    assert shared(own, "c.test", key=SHORT) == [[]]


def test_domains_of_another_account_are_not_told_of() -> None:
    own, others = account("a.test"), account("b.test")
    shared(own, "a.test")
    shared(others, "b.test")
    assert shared(own, "a.test") == [[]]
    assert shared(others, "b.test") == [[]]


def test_after_one_has_another_key_they_share_it_no_longer() -> None:
    own = account("a.test", "b.test")
    shared(own, "a.test", "b.test")
    assert shared(own, "b.test", key=OTHER) == [[]]
    assert shared(own, "a.test") == [[]]


def test_a_key_that_cannot_be_seen_now_is_still_known() -> None:
    own = account("a.test", "b.test")
    shared(own, "a.test", "b.test")
    shared(own, "b.test", key=SERVFAIL)
    assert shared(own, "a.test") == [["b.test"]]


def test_a_domain_that_is_gone_is_told_of_no_longer() -> None:
    own = account("a.test", "b.test")
    shared(own, "a.test", "b.test")
    domains.delete(own, "b.test", actor=ACTOR)
    assert shared(own, "a.test") == [[]]
