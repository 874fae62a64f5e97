"""May the policy be raised: yes, no, or it cannot be told; and why."""

from typing import Any

import pytest

from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Context, Flow, SourceReview, gather
from app.analysis.policy import readiness
from app.analysis.policy.readiness import Evidence, PolicyStep, Published
from app.protocols import dmarc
from app.protocols.dmarc import Policy

TEXT = "v=DMARC1; p=none; rua=mailto:d@acme.test"
APPROVED = SourceReview("approved", None, "user:ann")
GOOD = Identity("acme.test", "none", True, True, spf_results=(("acme.test", "mfrom", "pass"),))
SERVICE = Identity("acme.test", "none", False, False, spf_results=(("x.mcsv.net", "m", "pass"),))
FORGED = Identity("acme.test", "none", False, False)
PASSED_ON = Identity("acme.test", "none", False, False, reasons=("forwarded",))
SERVICE_SIGNED = Identity(
    "acme.test", "none", True, False, spf_results=(("x.mcsv.net", "m", "pass"),),
    dkim_results=(("acme.test", "k1", "pass"),),
)  # fmt: skip
BELOW = Identity("news.acme.test", "none", False, False, spf_results=SERVICE.spf_results)


def judge(
    *mail: tuple[Identity, int], text: str | None = TEXT, days: int = 30,
    published: Published | None = None, **context: Any,
) -> list[PolicyStep]:  # fmt: skip
    identities = {number: identity for number, (identity, _) in enumerate(mail)}
    flows = [Flow(f"192.0.2.{n}", n, count, 1, 1) for n, (_, count) in enumerate(mail)]
    sources = gather(flows, identities, Context("acme.test", **context))
    evidence = readiness.evidence(sources, window_days=30, days=days, reporters=3)
    record = dmarc.parse_record(text) if text else dmarc.Record()
    published = published or Published("_dmarc.acme.test", text, record)
    return list(readiness.steps("acme.test", sources, identities, evidence, published))


def test_a_domain_with_all_sources_aligned_is_ready() -> None:
    step = judge((GOOD, 10_000))[0]
    assert (step.tag, step.current, step.proposed) == ("p", Policy.NONE, Policy.QUARANTINE)
    assert (step.is_ready, step.blockers) == (True, ())
    assert step.record == "v=DMARC1; p=quarantine; rua=mailto:d@acme.test"
    assert step.rollback == TEXT


def test_an_approved_source_that_is_not_aligned_stands_in_the_way_and_is_named() -> None:
    approved = {"service:Mailchimp": APPROVED}
    step = judge((GOOD, 9_800), (SERVICE, 200), states=approved)[0]
    assert step.is_ready is False
    (blocker,) = step.blockers
    assert (blocker.source.service.name, blocker.messages) == ("Mailchimp", 200)
    assert blocker.share == pytest.approx(0.02)
    assert "Mailchimp is the domain's own, and 200 of its messages fail" in blocker.reason
    assert "https://mailchimp.com/" in blocker.remediation


def test_a_source_that_nobody_has_decided_on_stands_in_the_way_until_somebody_does() -> None:
    mail = ((GOOD, 9_800), (SERVICE, 200))
    (blocker,) = judge(*mail)[0].blockers
    assert "nobody has said" in blocker.reason
    for decided in ("ignored", "blocked"):
        states = {"service:Mailchimp": SourceReview(decided, None, "user:ann")}
        assert judge(*mail, states=states)[0].is_ready is True


@pytest.mark.parametrize(("count", "stands"), [(19, False), (20, True)])
def test_a_small_source_that_would_lose_all_it_sends_stands_in_the_way(
    count: int, stands: bool
) -> None:
    approved = {"service:Mailchimp": APPROVED}
    step = judge((GOOD, 1_000_000), (SERVICE, count), states=approved)[0]
    assert bool(step.blockers) is stands
    assert step.legitimate_failing == (0 if stands else count)


def test_so_does_a_source_that_loses_what_it_sends_under_one_name() -> None:
    mail = ((GOOD, 1_000_000), (BELOW, 30), (SERVICE_SIGNED, 5_000))
    steps = judge(*mail, text="v=DMARC1; p=none; sp=none")
    assert [bool(step.blockers) for step in steps] == [False, True, True]


def test_forged_mail_is_what_the_policy_is_for() -> None:
    step = judge((GOOD, 1_000), (FORGED, 50_000))[0]
    assert (step.is_ready, step.spoofed, step.legitimate_failing) == (True, 50_000, 0)


def test_forwarded_mail_that_would_be_lost_is_counted_but_does_not_stand_in_the_way() -> None:
    step = judge((GOOD, 1_000), (PASSED_ON, 30))[0]
    assert (step.is_ready, step.legitimate_failing) == (True, 30)


@pytest.mark.parametrize(("count", "days"), [(10_000, 13), (99, 30), (0, 0)])
def test_with_few_reports_it_cannot_be_told(count: int, days: int) -> None:
    mail = [(GOOD, count)] if count else []
    assert [step.is_ready for step in judge(*mail, days=days)] == [None, None, None]


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ("v=DMARC1; p=none", ["p", "sp", "np"]),
        ("v=DMARC1; p=reject; sp=quarantine", ["sp", "np"]),
        ("v=DMARC1; p=reject; np=none", ["np"]),
        ("v=DMARC1; p=reject", []),
    ],
)
def test_each_tag_that_is_not_at_reject_has_a_next_step(text: str, tags: list[str]) -> None:
    assert [step.tag for step in judge((GOOD, 1_000), text=text)] == tags


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("v=DMARC1; p=none", {"p", "sp", "np"}),  # without sp, p holds below the domain too
        ("v=DMARC1; p=none; sp=none", {"sp", "np"}),
    ],
)
def test_a_sub_domain_stands_in_the_way_of_the_tag_that_holds_for_it(
    text: str, blocked: set[str]
) -> None:
    steps = judge((GOOD, 900), (BELOW, 100), text=text)
    assert {step.tag for step in steps if step.blockers} == blocked


def test_without_a_record_the_first_one_is_proposed() -> None:
    step = judge((GOOD, 1_000), text=None)[0]
    assert (step.record, step.rollback) == ("v=DMARC1; p=quarantine", None)


@pytest.mark.parametrize(
    ("text", "tag", "current", "record"),
    [
        ("v=DMARC1; p=reject; sp=none; rua=mailto:d@above.test", "sp", Policy.NONE,
         "v=DMARC1; p=quarantine; rua=mailto:d@above.test"),
        ("v=DMARC1; p=quarantine; np=none; psd=y", "p", Policy.QUARANTINE, "v=DMARC1; p=reject"),
        ("v=DMARC1; p=reject; np=none", "np", Policy.NONE, "v=DMARC1; p=quarantine"),
        ("v=DMARC1; p=reject; sp=quarantine; t=y", "sp", Policy.NONE, "v=DMARC1; p=quarantine"),
    ],
)  # fmt: skip
def test_where_a_record_above_holds_the_step_is_a_record_of_the_domains_own(
    text: str, tag: str, current: Policy, record: str
) -> None:
    above = readiness.inherited("_dmarc.acme.test", text, dmarc.parse_record(text), tag)
    (step,) = judge((GOOD, 1_000), published=above)
    assert (step.tag, step.current, step.record, step.rollback) == ("p", current, record, None)


def test_sp_and_np_of_a_sub_domain_hold_for_nobody_and_have_no_step() -> None:
    own = Published("_dmarc.acme.test", TEXT, dmarc.parse_record(TEXT), is_organizational=False)
    assert [step.tag for step in judge((GOOD, 1_000), published=own)] == ["p"]


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("v=DMARC1; p=reject; t=y",
         [("p", "quarantine", "v=DMARC1; p=reject"), ("sp", "quarantine", "…; sp=reject"),
          ("np", "quarantine", "…; np=reject")]),
        ("v=DMARC1; p=quarantine; sp=reject; np=reject; t=y",
         [("p", "none", "v=DMARC1; p=quarantine; sp=reject; np=reject"),
          ("sp", "quarantine", "v=DMARC1; p=quarantine; sp=reject; np=reject"),
          ("np", "quarantine", "v=DMARC1; p=quarantine; sp=reject; np=reject")]),
    ],
)  # fmt: skip
def test_while_a_policy_is_only_tested_the_next_step_is_that_it_holds(
    text: str, steps: list[tuple[str, str, str]]
) -> None:
    found = [(s.tag, s.current.value, s.record) for s in judge((GOOD, 1_000), text=text)]
    first = steps[0][2]
    assert found == [(tag, now, after.replace("…", first)) for tag, now, after in steps]


def test_that_a_test_ends_concerns_all_mail_that_the_record_is_about() -> None:
    steps = judge((GOOD, 900), (BELOW, 100), text="v=DMARC1; p=quarantine; sp=quarantine; t=y")
    assert [bool(step.blockers) for step in steps] == [True, True, True]


def test_without_a_scan_nothing_is_proposed() -> None:
    sources = gather([Flow("192.0.2.1", 0, 1_000, 1, 1)], {0: GOOD}, Context("acme.test"))
    evidence = Evidence(30, 30, 1_000, 3)
    steps = readiness.steps("acme.test", sources, {0: GOOD}, evidence, None)
    assert [(step.is_ready, step.record) for step in steps] == [(None, None)] * 3
