"""Policy readiness: ready, blocked or unknown, with reasons."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.analysis.mail.sources import Context, Flow, SourceReview, gather
from app.analysis.policy import published as published_policy
from app.analysis.policy import readiness
from app.analysis.policy.published import Published
from app.analysis.policy.verdicts import Evidence, Verdict
from app.protocols import dmarc
from app.protocols.dmarc import Policy, strictness
from tests.support.policy_steps import (
    APPROVED,
    BELOW,
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


def test_domain_with_all_sources_aligned_is_ready() -> None:
    step = assess_steps((GOOD, 10_000))[0]
    assert (step.tag, step.current, step.proposed) == ("p", Policy.NONE, Policy.QUARANTINE)
    assert (step.is_ready, step.blockers) == (True, ())
    assert step.record == "v=DMARC1; p=quarantine; rua=mailto:d@acme.test"
    assert step.rollback == TEXT


def test_unaligned_approved_source_is_a_blocker() -> None:
    approved = {"service:Mailchimp": APPROVED}
    step = assess_steps((GOOD, 9_800), (SERVICE, 200), reviews=approved)[0]
    assert step.is_ready is False
    (blocker,) = step.blockers
    assert (blocker.source.service.name, blocker.messages) == ("Mailchimp", 200)
    assert blocker.share == pytest.approx(0.02)
    assert "Mailchimp is one of your sources, and 200 of its messages fail" in blocker.reason
    assert "https://mailchimp.com/" in blocker.remediation


def test_unclassified_source_blocks_until_it_is_classified() -> None:
    mail = ((GOOD, 9_800), (SERVICE, 200))
    (blocker,) = assess_steps(*mail)[0].blockers
    assert "is not classified" in blocker.reason
    for decided in ("ignored", "blocked"):
        states = {"service:Mailchimp": SourceReview(decided, None, "user:ann")}
        assert assess_steps(*mail, reviews=states)[0].is_ready is True


@pytest.mark.parametrize(("count", "stands"), [(19, False), (20, True)])
def test_small_source_that_fails_completely_is_a_blocker(count: int, stands: bool) -> None:
    approved = {"service:Mailchimp": APPROVED}
    step = assess_steps((GOOD, 1_000_000), (SERVICE, count), reviews=approved)[0]
    assert bool(step.blockers) is stands
    assert step.legitimate_failing == (0 if stands else count)


def test_source_that_fails_under_one_name_is_a_blocker() -> None:
    mail = ((GOOD, 1_000_000), (BELOW, 30), (SERVICE_SIGNED, 5_000))
    steps = assess_steps(*mail, text="v=DMARC1; p=none; sp=none")
    assert [bool(step.blockers) for step in steps] == [False, True, True]


def test_spoofed_mail_does_not_block() -> None:
    step = assess_steps((GOOD, 1_000), (FORGED, 50_000))[0]
    assert (step.is_ready, step.spoofed, step.legitimate_failing) == (True, 50_000, 0)


def test_failing_forwarded_mail_is_counted_but_does_not_block() -> None:
    step = assess_steps((GOOD, 1_000), (PASSED_ON, 30))[0]
    assert (step.is_ready, step.legitimate_failing) == (True, 30)


@pytest.mark.parametrize(("count", "days"), [(10_000, 13), (99, 30), (0, 0)])
def test_readiness_is_unknown_with_few_reports(count: int, days: int) -> None:
    mail = [(GOOD, count)] if count else []
    assert [step.is_ready for step in assess_steps(*mail, days=days)] == [None, None, None]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("v=DMARC1; p=none", ["p", "sp", "np"]),
        ("v=DMARC1; p=reject; sp=quarantine", ["sp", "np"]),
        ("v=DMARC1; p=reject; np=none", ["np"]),
        ("v=DMARC1; p=reject", []),
    ],
)
def test_each_tag_below_reject_has_a_next_step(text: str, tags: list[str]) -> None:
    assert [step.tag for step in assess_steps((GOOD, 1_000), text=text)] == tags


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("v=DMARC1; p=none", {"p", "sp", "np"}),  # without sp, p applies below the domain too
        ("v=DMARC1; p=none; sp=none", {"sp", "np"}),
    ],
)
def test_subdomain_blocks_the_tag_that_applies_to_it(text: str, blocked: set[str]) -> None:
    steps = assess_steps((GOOD, 900), (BELOW, 100), text=text)
    assert {step.tag for step in steps if step.blockers} == blocked


def test_first_record_is_proposed_if_none_exists() -> None:
    step = assess_steps((GOOD, 1_000), text=None)[0]
    assert (step.record, step.rollback) == ("v=DMARC1; p=quarantine", None)


@pytest.mark.parametrize(
    ("text", "tag", "current", "record"),
    [
        (
            "v=DMARC1; p=reject; sp=none; rua=mailto:d@above.test",
            "sp",
            Policy.NONE,
            "v=DMARC1; p=quarantine; rua=mailto:d@above.test",
        ),
        ("v=DMARC1; p=quarantine; np=none; psd=y", "p", Policy.QUARANTINE, "v=DMARC1; p=reject"),
        ("v=DMARC1; p=reject; np=none", "np", Policy.NONE, "v=DMARC1; p=quarantine"),
        ("v=DMARC1; p=reject; sp=quarantine; t=y", "sp", Policy.NONE, "v=DMARC1; p=quarantine"),
    ],
)
def test_step_from_inherited_record_is_a_record_of_the_domain(
    text: str, tag: str, current: Policy, record: str
) -> None:
    above = published_policy.inherited("_dmarc.acme.test", text, dmarc.parse_record(text), tag)
    (step,) = assess_steps((GOOD, 1_000), published=above)
    assert (step.tag, step.current, step.record, step.rollback) == ("p", current, record, None)


def test_sp_and_np_of_subdomain_have_no_step() -> None:
    own = Published("_dmarc.acme.test", TEXT, dmarc.parse_record(TEXT), is_organizational=False)
    assert [step.tag for step in assess_steps((GOOD, 1_000), published=own)] == ["p"]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        (
            "v=DMARC1; p=reject; t=y",
            [
                ("p", "quarantine", "v=DMARC1; p=reject"),
                ("sp", "quarantine", "…; sp=reject"),
                ("np", "quarantine", "…; np=reject"),
            ],
        ),
        (
            "v=DMARC1; p=quarantine; sp=reject; np=reject; t=y",
            [
                ("p", "none", "v=DMARC1; p=quarantine; sp=reject; np=reject"),
                ("sp", "quarantine", "v=DMARC1; p=quarantine; sp=reject; np=reject"),
                ("np", "quarantine", "v=DMARC1; p=quarantine; sp=reject; np=reject"),
            ],
        ),
    ],
)
def test_next_step_in_testing_mode_removes_it(text: str, steps: list[tuple[str, str, str]]) -> None:
    proposed = [(s.tag, s.current.value, s.record) for s in assess_steps((GOOD, 1_000), text=text)]
    first = steps[0][2]
    assert proposed == [(tag, now, after.replace("…", first)) for tag, now, after in steps]


def test_ending_testing_mode_affects_all_mail_of_the_record() -> None:
    steps = assess_steps(
        (GOOD, 900), (BELOW, 100), text="v=DMARC1; p=quarantine; sp=quarantine; t=y"
    )
    assert [bool(step.blockers) for step in steps] == [True, True, True]


def test_no_record_is_proposed_without_a_scan() -> None:
    flow = Flow(source_ip="192.0.2.1", identity=0, messages=1_000, first_hour=1, last_hour=1)
    sources = gather([flow], {0: GOOD}, Context("acme.test"))
    evidence = Evidence(window_days=30, days=30, messages=1_000, passed=1_000, reporters=3)
    steps = readiness.steps("acme.test", sources, {0: GOOD}, evidence, None)
    assert [(step.is_ready, step.record) for step in steps] == [(None, None)] * 3


@pytest.mark.parametrize(
    ("lost", "days_at_policy", "verdict"),
    [
        (0, 30, Verdict.READY),
        (49, 30, Verdict.READY),
        (50, 30, Verdict.READY_FOR_QUARANTINE),  # 0.5 % of 10,000
        (2_400, 30, Verdict.READY_FOR_QUARANTINE),
        (49, 29, Verdict.NOT_READY),
        (49, None, Verdict.NOT_READY),
    ],
)
def test_reject_is_advised_only_below_the_share_and_after_the_time(
    lost: int, days_at_policy: int | None, verdict: Verdict
) -> None:
    mail = ((GOOD, 10_000 - lost), (PASSED_ON, lost), (FORGED, 90_000))
    step = assess_steps(*mail, text=QUARANTINE, days_at_policy=days_at_policy)[0]
    assert (step.proposed, step.verdict) == (Policy.REJECT, verdict)
    assert step.is_ready is (verdict is Verdict.READY)
    assert step.legitimate_failing_share == lost / 10_000


@pytest.mark.parametrize(
    ("lost", "days_at_policy", "verdict", "is_ready"),
    [
        (0, 30, Verdict.READY, True),
        (2_400, 30, Verdict.READY_FOR_QUARANTINE, True),
        (0, 29, Verdict.NOT_READY, False),
        (0, None, Verdict.NOT_READY, False),
    ],
)
def test_quarantine_is_advised_after_thirty_days_at_none(
    lost: int, days_at_policy: int | None, verdict: Verdict, is_ready: bool
) -> None:
    mail = ((GOOD, 16_000), (PASSED_ON, lost))
    step = assess_steps(*mail, days_at_policy=days_at_policy)[0]
    assert (step.proposed, step.verdict) == (Policy.QUARANTINE, verdict)
    assert step.is_ready is is_ready


def test_reason_states_figures_and_limits() -> None:
    mail = ((GOOD, 16_000), (PASSED_ON, 2_400))
    assert assess_steps(*mail, text=QUARANTINE)[0].reason == (
        "Quarantine is suitable, but reject is not: 2,400 legitimate messages (13.04 % of all mail "
        "of the domain, 2,400 of them at forwarders and mailing lists) would be lost with reject. "
        "The limit is 0.5 % (RFC 9989 §7.4)."
    )
    assert assess_steps((GOOD, 1_000), days_at_policy=12)[0].reason == (
        "The current policy has been unchanged for 12 days: RFC 9989 §7.4 advises at least 30 days "
        "before p=quarantine."
    )
    unknown = assess_steps((GOOD, 1_000), days_at_policy=None)[0].reason
    assert unknown.startswith("It is unknown how long the current policy has been published")


def test_step_without_any_mail_has_no_answer() -> None:
    steps = assess_steps((GOOD, 10_000), text="v=DMARC1; p=none; sp=none")
    assert [(step.tag, step.is_ready, step.messages) for step in steps] == [
        ("p", True, 10_000),
        ("sp", None, 0),
        ("np", None, 0),
    ]
    assert {step.verdict for step in steps[1:]} == {Verdict.NOT_ENOUGH_DATA}
    assert steps[1].reason == "No mail seen: no report contains mail from subdomains of acme.test."


def test_reject_is_not_advised_if_own_mail_passes_by_spf_alone() -> None:
    step = assess_steps((SPF_ONLY, 10_000), text=QUARANTINE)[0]
    assert step.verdict is Verdict.READY_FOR_QUARANTINE
    assert "passes DKIM" in step.reason


def test_end_of_testing_that_also_raises_another_policy_to_reject_needs_the_same() -> None:
    text = "v=DMARC1; p=quarantine; sp=reject; t=y"
    step = assess_steps((GOOD, 10_000), (PASSED_ON, 500), text=text)[0]
    assert (step.proposed, step.highest) == (Policy.QUARANTINE, Policy.REJECT)
    assert (step.verdict, step.is_ready) == (Verdict.READY_FOR_QUARANTINE, False)


@pytest.mark.parametrize(
    ("days", "verdict", "reason"),
    [
        (
            None,
            Verdict.NOT_READY,
            "It is unknown how long the current policy, which is inherited from test, has been "
            "published: RFC 9989 §7.4 advises at least 30 days before p=quarantine.",
        ),
        (
            1,
            Verdict.NOT_READY,
            "The current policy, which is inherited from test, has been unchanged for 1 day: "
            "RFC 9989 §7.4 advises at least 30 days before p=quarantine.",
        ),
        (
            30,
            Verdict.READY,
            "None of the domain's own mail would fail with p=quarantine. The current policy is "
            "inherited from test: publish a record of the domain's own at _dmarc.acme.test to "
            "change it for this domain only.",
        ),
    ],
)
def test_inherited_policy_counts_as_a_policy_of_the_domain(
    days: int | None, verdict: Verdict, reason: str
) -> None:
    facts = {"record": "v=DMARC1; p=reject; sp=none", "record_at": "test", "policy_tag": "sp"}
    above = published_policy.from_facts("acme.test", facts)
    (step,) = assess_steps((GOOD, 1_000), published=above, days_at_policy=days)
    assert (step.current, step.verdict, step.reason) == (Policy.NONE, verdict, reason)
    assert step.record == "v=DMARC1; p=quarantine"


@pytest.mark.parametrize(
    ("text", "record", "remarks"),
    [
        (
            "v=DMARC1; p=none; pct=50; rf=afrf; ri=3600; rua=mailto:a@x.test,mailto:b@y.test!10m; "
            "ruf=mailto:f@x.test; fo=1; adkim=s; foo=bar",
            "v=DMARC1; p=quarantine; rua=mailto:a@x.test,mailto:b@y.test!10m; "
            "ruf=mailto:f@x.test; fo=1; adkim=s; foo=bar",
            ["pct=50", "rf=afrf", "ri=3600"],
        ),
        ("v=DMARC1; p=reject; t=y", "v=DMARC1; p=reject", ["t=y"]),
        ("v=DMARC1; p=none; rua=d@acme.test", "v=DMARC1; p=quarantine; rua=mailto:d@acme.test", []),
        ("v=DMARC1; p=none; sp=whatever; rua=mailto:d@acme.test", None, []),
    ],
)
def test_proposal_keeps_all_tags_but_the_removed_ones(
    text: str, record: str | None, remarks: list[str]
) -> None:
    step = assess_steps((GOOD, 1_000), text=text)[0]
    assert step.record == record
    assert [remark.partition(" is left out")[0] for remark in step.remarks] == remarks


TAGS = st.fixed_dictionaries(
    {"p": st.sampled_from(["none", "quarantine", "reject"])},
    optional={
        **{tag: st.sampled_from(["none", "quarantine", "reject"]) for tag in ("sp", "np")},
        "t": st.sampled_from(["y", "n"]),
        "pct": st.sampled_from(["0", "50", "100"]),
        "adkim": st.sampled_from(["r", "s"]),
        "rua": st.sampled_from(["mailto:a@x.test", "mailto:a@x.test,mailto:b@y.test"]),
        "ruf": st.just("mailto:f@x.test"),
    },
)


def raised(old: str, new: str) -> list[int]:
    """The strengths to which the new record raises policies."""
    before, after = (strictness.policies(dmarc.parse_record(text)) for text in (old, new))
    return [high for low, high in zip(before, after, strict=True) if high > low]


@given(TAGS)
def test_proposal_weakens_no_policy_and_loses_no_address(values: dict[str, str]) -> None:
    text = "; ".join(["v=DMARC1", *(f"{tag}={value}" for tag, value in values.items())])
    for step in assess_steps((GOOD, 1_000), text=text):
        assert step.record is not None
        new = dmarc.parse_record(step.record)
        assert strictness.is_kept(dmarc.parse_record(text), new)
        assert (new.removed_tags, new.testing, new.problems) == ((), False, ())
        assert step.highest.strength >= max(raised(text, step.record))


COUNTS = st.one_of(st.integers(0, 60), st.integers(0, 20_000))


@given(COUNTS, COUNTS, COUNTS, st.one_of(st.none(), st.integers(0, 60)), TAGS)
def test_reject_is_never_ready_above_the_share_or_before_the_time(
    good: int, forwarded: int, forged: int, days_at_policy: int | None, values: dict[str, str]
) -> None:
    text = "; ".join(["v=DMARC1", *(f"{tag}={value}" for tag, value in values.items())])
    counts = ((GOOD, good), (PASSED_ON, forwarded), (FORGED, forged))
    mail = [(identity, count) for identity, count in counts if count]
    is_too_early = days_at_policy is None or days_at_policy < 30
    for step in assess_steps(*mail, text=text, days_at_policy=days_at_policy):
        assert step.record is not None
        raises_to_reject = Policy.REJECT.strength in raised(text, step.record)
        is_lossy = step.legitimate_failing * 1000 >= 5 * (good + forwarded)
        if is_too_early or (raises_to_reject and is_lossy):
            assert not step.is_ready
        if raises_to_reject and is_lossy:
            assert step.verdict is not Verdict.READY
