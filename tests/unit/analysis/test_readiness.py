"""Policy readiness: ready, blocked or unknown, with reasons."""

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
    "acme.test",
    "none",
    True,
    False,
    spf_results=(("x.mcsv.net", "m", "pass"),),
    dkim_results=(("acme.test", "k1", "pass"),),
)
BELOW = Identity("news.acme.test", "none", False, False, spf_results=SERVICE.spf_results)


def judge(
    *mail: tuple[Identity, int],
    text: str | None = TEXT,
    days: int = 30,
    published: Published | None = None,
    **context: Any,
) -> list[PolicyStep]:
    identities = {number: identity for number, (identity, _) in enumerate(mail)}
    flows = [Flow(f"192.0.2.{n}", n, count, 1, 1) for n, (_, count) in enumerate(mail)]
    sources = gather(flows, identities, Context("acme.test", **context))
    evidence = readiness.evidence(sources, window_days=30, days=days, reporters=3)
    record = dmarc.parse_record(text) if text else dmarc.Record()
    published = published or Published("_dmarc.acme.test", text, record)
    return list(readiness.steps("acme.test", sources, identities, evidence, published))


def test_domain_with_all_sources_aligned_is_ready() -> None:
    step = judge((GOOD, 10_000))[0]
    assert (step.tag, step.current, step.proposed) == ("p", Policy.NONE, Policy.QUARANTINE)
    assert (step.is_ready, step.blockers) == (True, ())
    assert step.record == "v=DMARC1; p=quarantine; rua=mailto:d@acme.test"
    assert step.rollback == TEXT


def test_unaligned_approved_source_is_a_blocker() -> None:
    approved = {"service:Mailchimp": APPROVED}
    step = judge((GOOD, 9_800), (SERVICE, 200), reviews=approved)[0]
    assert step.is_ready is False
    (blocker,) = step.blockers
    assert (blocker.source.service.name, blocker.messages) == ("Mailchimp", 200)
    assert blocker.share == pytest.approx(0.02)
    assert "Mailchimp is one of your sources, and 200 of its messages fail" in blocker.reason
    assert "https://mailchimp.com/" in blocker.remediation


def test_unclassified_source_blocks_until_it_is_classified() -> None:
    mail = ((GOOD, 9_800), (SERVICE, 200))
    (blocker,) = judge(*mail)[0].blockers
    assert "is not classified" in blocker.reason
    for decided in ("ignored", "blocked"):
        states = {"service:Mailchimp": SourceReview(decided, None, "user:ann")}
        assert judge(*mail, reviews=states)[0].is_ready is True


@pytest.mark.parametrize(("count", "stands"), [(19, False), (20, True)])
def test_small_source_that_fails_completely_is_a_blocker(count: int, stands: bool) -> None:
    approved = {"service:Mailchimp": APPROVED}
    step = judge((GOOD, 1_000_000), (SERVICE, count), reviews=approved)[0]
    assert bool(step.blockers) is stands
    assert step.legitimate_failing == (0 if stands else count)


def test_source_that_fails_under_one_name_is_a_blocker() -> None:
    mail = ((GOOD, 1_000_000), (BELOW, 30), (SERVICE_SIGNED, 5_000))
    steps = judge(*mail, text="v=DMARC1; p=none; sp=none")
    assert [bool(step.blockers) for step in steps] == [False, True, True]


def test_spoofed_mail_does_not_block() -> None:
    step = judge((GOOD, 1_000), (FORGED, 50_000))[0]
    assert (step.is_ready, step.spoofed, step.legitimate_failing) == (True, 50_000, 0)


def test_failing_forwarded_mail_is_counted_but_does_not_block() -> None:
    step = judge((GOOD, 1_000), (PASSED_ON, 30))[0]
    assert (step.is_ready, step.legitimate_failing) == (True, 30)


@pytest.mark.parametrize(("count", "days"), [(10_000, 13), (99, 30), (0, 0)])
def test_readiness_is_unknown_with_few_reports(count: int, days: int) -> None:
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
def test_each_tag_below_reject_has_a_next_step(text: str, tags: list[str]) -> None:
    assert [step.tag for step in judge((GOOD, 1_000), text=text)] == tags


@pytest.mark.parametrize(
    ("text", "blocked"),
    [
        ("v=DMARC1; p=none", {"p", "sp", "np"}),  # without sp, p applies below the domain too
        ("v=DMARC1; p=none; sp=none", {"sp", "np"}),
    ],
)
def test_subdomain_blocks_the_tag_that_applies_to_it(text: str, blocked: set[str]) -> None:
    steps = judge((GOOD, 900), (BELOW, 100), text=text)
    assert {step.tag for step in steps if step.blockers} == blocked


def test_first_record_is_proposed_if_none_exists() -> None:
    step = judge((GOOD, 1_000), text=None)[0]
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
    above = readiness.inherited("_dmarc.acme.test", text, dmarc.parse_record(text), tag)
    (step,) = judge((GOOD, 1_000), published=above)
    assert (step.tag, step.current, step.record, step.rollback) == ("p", current, record, None)


def test_sp_and_np_of_subdomain_have_no_step() -> None:
    own = Published("_dmarc.acme.test", TEXT, dmarc.parse_record(TEXT), is_organizational=False)
    assert [step.tag for step in judge((GOOD, 1_000), published=own)] == ["p"]


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
    proposed = [(s.tag, s.current.value, s.record) for s in judge((GOOD, 1_000), text=text)]
    first = steps[0][2]
    assert proposed == [(tag, now, after.replace("…", first)) for tag, now, after in steps]


def test_ending_testing_mode_affects_all_mail_of_the_record() -> None:
    steps = judge((GOOD, 900), (BELOW, 100), text="v=DMARC1; p=quarantine; sp=quarantine; t=y")
    assert [bool(step.blockers) for step in steps] == [True, True, True]


def test_no_record_is_proposed_without_a_scan() -> None:
    sources = gather([Flow("192.0.2.1", 0, 1_000, 1, 1)], {0: GOOD}, Context("acme.test"))
    evidence = Evidence(30, 30, 1_000, 3)
    steps = readiness.steps("acme.test", sources, {0: GOOD}, evidence, None)
    assert [(step.is_ready, step.record) for step in steps] == [(None, None)] * 3
