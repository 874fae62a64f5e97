"""Policy readiness is safe: mail that may be legitimate is never called spoofed or lost unseen."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Context, Flow, SourceReview, gather
from app.analysis.policy import readiness
from app.analysis.policy.blockers import total
from app.analysis.policy.published import Published
from app.analysis.policy.readiness import PolicyStep
from app.analysis.policy.verdicts import Verdict
from app.protocols import dmarc
from tests.support.policy_steps import (
    FORGED,
    GOOD,
    PASSED_ON,
    QUARANTINE,
    SERVICE,
    SERVICE_SIGNED,
    SPF_ONLY,
    TEXT,
    assess_steps,
)

OTHER = replace(SERVICE, spf_results=(("mail.other.test", "m", "pass"),))
# What can fail, by sender: an unaligned own server, services, forwarders and spoofed mail.
UNALIGNED = replace(FORGED, spf_results=(("bounce.acme.test", "m", "pass"),))
FAILING = (UNALIGNED, SERVICE, OTHER, PASSED_ON, FORGED)
PASSING = (GOOD, SPF_ONLY, SERVICE_SIGNED)
# Amounts at and near the limits, of which some shares are 0.5 % and 1 %.
PASSED = st.sampled_from([0, 10, 99, 100, 199, 990, 1_000, 9_900, 9_950, 10_000, 100_000])
FAILED = st.one_of(
    st.just(0),
    st.sampled_from([1, 4, 5, 9, 10, 11, 19, 20, 21, 49, 50, 51, 99, 100, 101, 499, 500, 1_000]),
    st.integers(0, 20_000),
)


APART = (1, 1, 2, 3, 2, 4, 5, 6)  # the address of each sender


def mail_of(
    passing: Sequence[int], failing: Mapping[int, int], addresses: Sequence[int]
) -> tuple[list[Flow], dict[int, Identity]]:
    """Flows of the amounts; ``addresses`` says which of the senders share one."""
    kinds = dict(enumerate((*PASSING, *FAILING)))
    flows = [
        Flow(
            source_ip=f"192.0.2.{addresses[number]}",
            identity=number,
            messages=count,
            first_hour=1,
            last_hour=1,
        )
        for number, count in enumerate(
            (*passing, *(failing.get(n, 0) for n in range(len(FAILING))))
        )
        if count
    ]
    return flows, kinds


def first_step(
    mail: tuple[list[Flow], dict[int, Identity]],
    text: str,
    gaps: tuple[str, ...] = (),
    **known: Any,
) -> PolicyStep:
    sources = gather(*mail, Context("acme.test"))
    evidence = readiness.evidence(sources, window_days=30, reporters=3, **known)
    evidence = replace(evidence, gaps=gaps)
    published = Published("_dmarc.acme.test", text, dmarc.parse_record(text))
    return readiness.steps("acme.test", sources, mail[1], evidence, published)[0]


@given(
    st.sampled_from(["v=DMARC1; p=none", "v=DMARC1; p=quarantine", "v=DMARC1; p=reject; t=y"]),
    st.tuples(PASSED, PASSED, PASSED),
    st.dictionaries(st.integers(0, 4), FAILED, max_size=2),
    st.dictionaries(st.integers(0, 4), FAILED, min_size=1, max_size=2),
    # Spoofed mail can come from an address of another sender. It has no name of a service, which
    # would change who the other mail of the address is attributed to.
    st.tuples(
        *map(st.just, (1, 1, 2)),
        st.sampled_from([1, 3]),
        *map(st.just, (2, 4, 5)),
        st.integers(1, 6),
    ),
    st.tuples(st.sampled_from([30, 30, 14, 13]), st.sampled_from([0, 0, 0, 1, 20])),
    st.tuples(st.sampled_from([40, 40, 30, 29, None]), st.sampled_from([0, 0, 0, 1, 15])),
    st.sampled_from([False, False, False, True]),
)
@example(TEXT, (1_000, 0, 0), {1: 10}, {0: 4}, APART, (30, 0), (40, 0), False)
@example(TEXT, (99, 0, 0), {}, {3: 1}, APART, (30, 0), (40, 0), False)
@example(
    TEXT, (0, 1_000, 100_000), {4: 900}, {4: 200}, (1, 1, 2, 3, 2, 4, 5, 1), (30, 0), (40, 0), False
)
@hypothesis_settings(max_examples=400, deadline=None)
def test_more_failing_mail_fewer_days_or_more_unknowns_never_lead_to_ready(
    text: str,
    passing: tuple[int, ...],
    failing: dict[int, int],
    additional: dict[int, int],
    addresses: Sequence[int],
    days: tuple[int, int],
    age: tuple[int | None, int],
    has_gap: bool,
) -> None:
    at_policy, fewer = age
    step = first_step(
        mail_of(passing, Counter(failing), addresses),
        text,
        days=days[0],
        days_at_policy=at_policy,
    )
    worse = first_step(
        mail_of(passing, Counter(failing) + Counter(additional), addresses),
        text,
        days=max(days[0] - days[1], 0),
        days_at_policy=None if at_policy is None else max(at_policy - fewer, 0),
        gaps=("1 received report that is not included yet",) if has_gap else (),
    )
    assert step.is_ready or not worse.is_ready
    assert not (has_gap and worse.is_ready)


def parts(step: PolicyStep) -> tuple[int, int, int, int]:
    """The affected messages: legitimate, to review, ignored and spoofed."""
    counts = total(step.own_sources), total(step.sources_to_review)
    return (*counts, step.ignored, step.spoofed)


def test_server_that_fails_with_most_of_its_mail_still_blocks() -> None:
    for count in (1_000, 4_000, 6_000, 90_000):
        mail = mail_of((0, 5_000, 100_000), {4: count}, (1, 2, 3, 4, 5, 6, 7, 2))
        step = first_step(mail, QUARANTINE, days=30, days_at_policy=40)
        assert [blocker.messages for blocker in step.blockers] == [count]
        assert (step.verdict, step.summary) == (Verdict.NOT_READY, "1 sender to set up")
        assert parts(step) == (count, 0, 0, 0)


def test_many_small_unclassified_senders_block_together() -> None:
    services = [
        replace(FORGED, spf_results=((f"mail.service{n}.test", "m", "pass"),)) for n in range(12)
    ]
    mail = [(GOOD, 10_000), *((service, 20) for service in services)]
    step = assess_steps(*mail)[0]
    assert step.verdict is Verdict.NOT_READY
    assert total(step.sources_to_review) == 240
    remaining = 240 - sum(blocker.messages for blocker in step.blockers)
    assert remaining / (10_000 + remaining) < 0.01
    decided = {
        blocker.source.key: SourceReview("blocked", None, "user:ann") for blocker in step.blockers
    }
    assert assess_steps(*mail, reviews=decided)[0].is_ready is True


def test_senders_that_are_too_rare_to_be_listed_are_unknown() -> None:
    flows, kinds = mail_of((10_000, 0, 0), {}, (1,) * 8)
    rare = Flow(source_ip="", identity=-1, messages=60, first_hour=1, last_hour=1)
    step = first_step(([*flows, rare], {**kinds, -1: FORGED}), TEXT, days=30, days_at_policy=40)
    assert (step.is_ready, step.verdict) == (None, Verdict.NOT_ENOUGH_DATA)
    assert "the senders of 60 messages that fail, each too rare to be listed" in step.reason


@pytest.mark.parametrize(
    ("mail", "text", "days", "gaps", "summary"),
    [
        (
            [(GOOD, 23_464), (FORGED, 2_847)],
            QUARANTINE,
            40,
            (),
            "0 of 23,464 legitimate messages would have been lost in 30 days",
        ),
        (
            [(GOOD, 1_000), (PASSED_ON, 30), (SERVICE, 9)],
            TEXT,
            40,
            (),
            "30 of 1,030 legitimate messages would have been quarantined in 30 days, and 9 "
            "messages of unclassified senders",
        ),
        ([(GOOD, 1_000), (SERVICE, 900)], TEXT, 40, (), "1 sender to review"),
        (
            [(GOOD, 1_000), (SERVICE, 900)],
            TEXT,
            40,
            ("a report",),
            "1 sender to review, and not enough data yet",
        ),
        ([(GOOD, 1_000)], TEXT, 40, ("a report",), "not enough data yet"),
        (
            [(GOOD, 1_000)],
            TEXT,
            12,
            (),
            "the current policy has been published for 12 of 30 days",
        ),
        ([(FORGED, 1_000)], TEXT, 40, (), "no mail seen from acme.test or subdomains of acme.test"),
        ([(SPF_ONLY, 1_000)], QUARANTINE, 40, (), "none of your own mail passes DKIM"),
    ],
)
def test_summary_states_the_verdict_in_a_few_words(
    mail: list[tuple[Identity, int]], text: str, days: int, gaps: tuple[str, ...], summary: str
) -> None:
    step = assess_steps(*mail, text=text, days_at_policy=days, gaps=gaps)[0]
    assert step.summary == summary


def test_affected_mail_is_divided_by_who_sent_it() -> None:
    ignored = {"domain:other.test": SourceReview("ignored", None, "user:ann")}
    mail = [(GOOD, 9_000), (SERVICE, 900), (OTHER, 70), (PASSED_ON, 30), (FORGED, 500)]
    step = assess_steps(*mail, reviews=ignored)[0]
    assert parts(step) == (30, 900, 70, 500)
