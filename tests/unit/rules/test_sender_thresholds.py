"""Rules on senders open an alert at their threshold and none below it."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.sources import Flow, Source, SourceReview
from app.analysis.mail.unused import SelectorUse, Subdomain
from app.rules.reports import senders
from app.rules.reports.posture import Mail
from tests.support.postures import (
    HOUR,
    SOME,
    STEADY,
    TWO_WEEKS,
    WEEK,
    drafts,
    mail,
    posture,
    recent,
    source,
    undecided,
)


@pytest.mark.parametrize(
    ("messages", "failed", "age", "known_age", "type"),
    [
        (49, 0, WEEK, None, None),
        (50, 0, WEEK, None, "source.new"),
        (50, 0, WEEK + 1, None, None),
        (50, 25, WEEK, None, "source.new"),
        (50, 26, WEEK, None, "source.new_failing"),
        (50, 0, 1, WEEK, "source.new"),
        (50, 0, 1, WEEK + 1, None),
    ],
)
def test_source_is_new_for_a_week(
    messages: int, failed: int, age: int, known_age: int | None, type: str | None
) -> None:
    known_sources = [source(first_hour=HOUR - known_age)] if known_age else []
    new = source(messages, failed, first_hour=HOUR - age)
    current = posture(
        recent=mail(SOME, sources=[new]), previous=replace(STEADY, sources=known_sources)
    )
    assert [type_name for type_name in drafts(current) if type_name.startswith("source.")] == (
        [type] if type else []
    )


@pytest.mark.parametrize(("age", "is_opened"), [(TWO_WEEKS - 1, False), (TWO_WEEKS, True)])
def test_no_source_is_new_without_two_weeks_of_reports(age: int, is_opened: bool) -> None:
    new = source(first_hour=HOUR)
    current = posture(recent=mail(SOME, sources=[new]), first_hour=HOUR - age)
    assert ("source.new" in drafts(current)) is is_opened
    assert ("source.new" in undecided(current)) is not is_opened


@pytest.mark.parametrize(
    ("now", "usual", "state", "is_opened"),
    [
        ((100, 10), (100, 2), "approved", False),
        ((100, 11), (100, 2), "approved", True),
        ((100, 11), (100, 3), "approved", False),
        ((49, 49), (100, 0), "approved", False),
        ((50, 50), (100, 0), "approved", True),
        ((50, 50), (49, 0), "approved", False),
        ((50, 50), (50, 0), "approved", True),
        ((50, 50), (50, 0), None, False),
    ],
)
def test_approved_source_regresses_if_its_failure_rate_rises(
    now: tuple[int, int], usual: tuple[int, int], state: str | None, is_opened: bool
) -> None:
    review = SourceReview(state, None, "user:ann") if state else None
    sources = [source(*now, review=review)]
    current = posture(
        recent=mail(SOME, sources=sources), previous=replace(STEADY, sources=[source(*usual)])
    )
    assert ("source.approved_regressed" in drafts(current)) is is_opened


@pytest.mark.parametrize(
    ("messages", "age", "known_age", "is_opened"),
    [
        (9, WEEK, None, False),
        (10, WEEK, None, True),
        (10, WEEK + 1, None, False),
        (10, 1, WEEK, True),
        (10, 1, WEEK + 1, False),
    ],
)
def test_subdomain_is_new_for_a_week(
    messages: int, age: int, known_age: int | None, is_opened: bool
) -> None:
    known_subdomains = (
        [Subdomain(name="a.acme.test", messages=1, passed=1, first_hour=HOUR - known_age)]
        if known_age
        else []
    )
    new = Subdomain(name="a.acme.test", messages=messages, passed=messages, first_hour=HOUR - age)
    current = posture(
        recent=mail(SOME, subdomains=[new]), previous=replace(STEADY, subdomains=known_subdomains)
    )
    assert ("subdomain.new_sending" in drafts(current)) is is_opened


@pytest.mark.parametrize(
    ("now", "usual", "is_opened"),
    [
        ((24, 25), (90, 10), False),
        ((24, 26), (90, 10), True),
        ((25, 25), (90, 10), False),
        ((24, 26), (89, 11), False),
    ],
)
def test_selector_fails_if_its_failure_rate_rises_from_a_tenth_to_half(
    now: tuple[int, int], usual: tuple[int, int], is_opened: bool
) -> None:
    uses = [[SelectorUse("s1", *counts, True)] for counts in (now, usual)]
    current = posture(
        recent=mail(SOME, selectors=uses[0]), previous=replace(STEADY, selectors=uses[1])
    )
    assert ("dkim.selector_failing" in drafts(current)) is is_opened


@pytest.mark.parametrize(
    ("messages", "now", "names"),
    [(199, None, []), (200, None, ["s1"]), (200, (1, 0), []), (200, (0, 1), [])],
)
def test_selector_is_quiet_if_it_signed_much_and_signs_nothing_now(
    messages: int, now: tuple[int, int] | None, names: Sequence[str]
) -> None:
    used = [SelectorUse("s1", *now, True)] if now else []
    usual = [SelectorUse(selector="s1", messages=messages, failed=0, is_published=True)]
    assert senders.quiet(Mail(selectors=used), Mail(selectors=usual)) == names


def flows(messages: int, addresses: int) -> list[Flow]:
    """This number of messages, from this number of addresses."""
    rest = messages - addresses + 1
    return [
        Flow(
            source_ip=f"203.0.113.{n}",
            identity=1,
            messages=rest if n == 0 else 1,
            first_hour=HOUR,
            last_hour=HOUR,
        )
        for n in range(addresses)
    ]


def suspicious(messages: int, addresses: int) -> list[Source]:
    return [
        source(
            messages, messages, kind=SourceClass.SUSPICIOUS, flows={1: flows(messages, addresses)}
        )
    ]


@pytest.mark.parametrize(
    ("now", "usual", "is_opened"),
    [
        ((99, 10), None, False),
        ((100, 9), None, False),
        ((100, 10), None, True),
        ((300, 10), 933, True),  # usual are 99.96 in three days of 28
        ((300, 10), 934, False),
    ],
)
def test_spoofing_is_suspected_with_many_addresses_and_unusual_volume(
    now: tuple[int, int], usual: int | None, is_opened: bool
) -> None:
    known_sources = suspicious(usual, 10) if usual else []
    current = posture(
        recent=mail(SOME, sources=suspicious(*now)), previous=replace(STEADY, sources=known_sources)
    )
    assert ("source.spoofing_suspected" in drafts(current)) is is_opened


@pytest.mark.parametrize(("passed", "is_opened"), [(9, False), (10, True)])
def test_parked_domain_is_active_from_ten_passing_messages(passed: int, is_opened: bool) -> None:
    current = posture(usage="parked", recent=mail(recent((passed + 40, 40))))
    assert ("domain.parked_active" in drafts(current)) is is_opened
