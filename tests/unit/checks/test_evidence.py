"""The evidence of a check is limited in size."""

from app.checks.engine import evidence
from app.checks.engine.execution import run_check
from app.checks.engine.types import FindingType, Fix, Outcome, Severity, Subject, check
from app.ports.dns import Resolver
from app.protocols.names import DomainName
from tests.support.zones import Zone

DOMAIN = DomainName("example.org")
LONG = "v=spf1 " + "a:x.example " * 5000
ODD = FindingType(
    code="probe.odd",
    severity=Severity.HIGH,
    summary="Odd",
    observed="",
    why="",
    remediation="",
    reference="RFC 0",
)


def _fix(text: str) -> Fix:
    return Fix(
        action="remove", name=DOMAIN, type="TXT", before=text, after=None, rollback="", why=""
    )


@check("probe", finds=(ODD,))
async def probe(subject: Subject, dns: Resolver) -> Outcome:
    texts = await dns.txt(subject.domain)
    findings = [
        ODD.at(f"{text} {n}", fix=_fix(text), text=text) for n in range(40) for text in texts
    ]
    return Outcome({"texts": list(texts), "nested": [{"text": text} for text in texts]}, *findings)


async def test_short_texts_are_not_truncated() -> None:
    check_result = await run_check(probe, Subject(DOMAIN), Zone({DOMAIN: ["short"]}))
    assert check_result.records[0].values == ("short",)
    assert check_result.findings[0].fix == _fix("short")


async def test_long_text_is_truncated_with_a_mark_everywhere() -> None:
    check_result = await run_check(probe, Subject(DOMAIN), Zone({DOMAIN: [LONG]}))
    mark = f"… [{len(LONG) - evidence.MAX_VALUE} more characters; sha256 "
    cut = check_result.facts["nested"][0]["text"]
    assert cut.startswith(LONG[: evidence.MAX_VALUE] + mark)
    assert cut == check_result.facts["texts"][0] == check_result.records[0].values[0]


async def test_fix_that_exceeds_the_limit_is_left_out() -> None:
    check_result = await run_check(probe, Subject(DOMAIN), Zone({DOMAIN: [LONG]}))
    assert {finding.fix for finding in check_result.findings} == {None}


async def test_result_size_is_bounded_if_a_text_repeats() -> None:
    check_result = await run_check(
        probe, Subject(DOMAIN), Zone({DOMAIN: [LONG, LONG + "b", "c" * 60_000]})
    )
    assert len(repr(check_result)) < 4 * evidence.MAX_TEXT


async def test_two_long_texts_stay_different() -> None:
    subjects = {
        (await run_check(probe, Subject(DOMAIN), Zone({DOMAIN: [text]}))).findings[0].subject
        for text in (LONG, LONG + "b")
    }
    assert len(subjects) == 2
