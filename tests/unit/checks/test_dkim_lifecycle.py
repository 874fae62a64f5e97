"""The dkim check compares keys with history, reports and other domains."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.dkim import dkim
from app.checks.engine.types import MAX_OBSERVED_SELECTORS, Severity, Subject
from app.protocols.names import DomainName
from tests.support.dkim_keys import GOOD, ONE, SHORT, digest
from tests.support.zones import Zone

NOW = datetime(2026, 6, 1, tzinfo=UTC)
SUBJECT = Subject(DomainName("example.org"), dkim_selectors=("one",), now=NOW)
RECORD = f"v=DKIM1; p={GOOD}"
DIRECT: dict[Any, Any] = {ONE: [RECORD]}
BY_ALIAS: dict[Any, Any] = {(ONE, "CNAME"): ["k.example.net"], "k.example.net": [RECORD]}
TWO = ("two", "example.org")


def last_results(**selector: Any) -> Mapping[str, Mapping[str, Any]]:
    """The facts of the last definite result about the selector."""
    return {"dkim": {"selectors": {"one": {"found": True, **selector}}}}


def since(age: timedelta, key: str = GOOD) -> Mapping[str, Mapping[str, Any]]:
    """The facts of a key that was first seen this long ago."""
    return last_results(key_sha256=digest(key), since=(NOW - age).isoformat())


async def codes(subject: Subject, data: dict[Any, Any] = DIRECT) -> list[str]:
    """The codes of the findings, in order."""
    return [finding.kind.code for finding in (await dkim.run(subject, Zone(data))).findings]


@pytest.mark.parametrize(
    ("before", "expected"),
    [
        ({}, []),
        (since(timedelta(days=365)), []),
        (since(timedelta(days=366)), ["dkim.key_old"]),
        (since(timedelta(days=366), key=SHORT), []),  # it was another key
        (last_results(key_sha256=digest(GOOD), since="2025-01-0… [cut]"), []),
    ],
)
async def test_key_is_old_after_a_year_without_change(
    before: Mapping[str, Mapping[str, Any]], expected: list[str]
) -> None:
    assert await codes(replace(SUBJECT, last_facts=before)) == expected


async def test_first_seen_time_is_carried_on_until_the_key_changes() -> None:
    first = await dkim.run(SUBJECT, Zone(DIRECT))
    later = replace(SUBJECT, last_facts={"dkim": first.facts}, now=NOW + timedelta(days=9))
    selector_facts = (await dkim.run(later, Zone(DIRECT))).facts["selectors"]["one"]
    renewed = (await dkim.run(later, Zone({ONE: [f"p={SHORT}"]}))).facts["selectors"]["one"]
    assert selector_facts["since"] == "2026-06-01T00:00:00.000Z"
    assert renewed["since"] == "2026-06-10T00:00:00.000Z"


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ((), []),
        (("example.net",), ["dkim.key_shared_across_domains"]),
        (("mail.example.org",), []),  # the same organizational domain
    ],
)
async def test_key_shared_with_another_domain_is_reported(
    others: tuple[str, ...], expected: list[str]
) -> None:
    assert await codes(replace(SUBJECT, shared_keys={digest(GOOD): others})) == expected


@pytest.mark.parametrize(("data", "severity"), [(DIRECT, "low"), (BY_ALIAS, "info")])
async def test_shared_key_of_a_service_is_info(data: dict[Any, Any], severity: str) -> None:
    subject = replace(SUBJECT, shared_keys={digest(GOOD): ("example.net",)})
    (finding,) = (await dkim.run(subject, Zone(data))).findings
    assert finding.severity is Severity(severity)
    assert finding.evidence == {"domains": ["example.net"]}


@pytest.mark.parametrize(
    ("observed", "before", "expected"),
    [
        ((), last_results(seen_in_reports=True), []),  # no reports at all, so use is unknown
        ((("one", "example.org"),), {}, []),
        ((("ONE", "example.org"), TWO), {}, []),
        ((TWO,), {}, ["dkim.selector_unused"]),
        ((TWO,), last_results(seen_in_reports=True), ["dkim.selector_stale"]),
    ],
)
async def test_selector_without_reports_is_unused_or_stale(
    observed: tuple[tuple[str, str], ...], before: Any, expected: list[str]
) -> None:
    assert await codes(replace(SUBJECT, observed_selectors=observed, last_facts=before)) == expected


async def test_incomplete_selector_list_causes_no_finding() -> None:
    observed = tuple((f"s{number}", "example.org") for number in range(MAX_OBSERVED_SELECTORS))
    assert await codes(replace(SUBJECT, observed_selectors=observed)) == []


async def test_earlier_use_of_a_selector_is_carried_on() -> None:
    subject = replace(SUBJECT, observed_selectors=(("one", "example.org"),))
    facts: Any = (await dkim.run(subject, Zone(DIRECT))).facts
    assert facts["selectors"]["one"]["seen_in_reports"] is True
    after = replace(SUBJECT, observed_selectors=(TWO,), last_facts={"dkim": facts})
    again: Any = (await dkim.run(after, Zone(DIRECT))).facts
    assert again["selectors"]["one"]["seen_in_reports"] is True


@pytest.mark.parametrize(
    ("data", "after"), [(DIRECT, "v=DKIM1; p="), (BY_ALIAS, None)], ids=["own", "by alias"]
)
async def test_fix_revokes_own_stale_key(data: dict[Any, Any], after: str | None) -> None:
    before = last_results(seen_in_reports=True)
    subject = replace(SUBJECT, observed_selectors=(TWO,), last_facts=before)
    (finding,) = (await dkim.run(subject, Zone(data))).findings
    assert (finding.fix and (finding.fix.before, finding.fix.after)) == (after and (RECORD, after))
