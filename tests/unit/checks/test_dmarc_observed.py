"""The dmarc check reports if receivers observe another policy than the published one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.checks.dmarc import dmarc
from app.checks.engine.execution import run_check
from app.checks.engine.types import Finding, ObservedPolicy, Subject, Verdict
from app.protocols.names import DomainName
from tests.support.zones import SERVFAIL, Zone

NOW = datetime(2026, 6, 10, tzinfo=UTC)
DAY = timedelta(days=1)
SUBJECT = Subject(DomainName("example.org"), now=NOW)
RECORD = "v=DMARC1; p=reject; np=reject; rua=mailto:d@example.org"
SAME = ObservedPolicy(
    reporter="a.test", begin_at=NOW - DAY, p="reject", sp="reject", adkim="r", aspf="r"
)
OTHER = SAME._replace(p="none", sp="none")
B, C, D = "b.test", "c.test", "d.test"


def zone(text: str = RECORD, at: str = "example.org") -> Zone:
    """A domain with this record."""
    return Zone({f"_dmarc.{at}": [text], ("example.org", "MX"): ["10 mx.example.org"]})


async def later(days: float, text: str = RECORD) -> Subject:
    """The subject of a scan ``days`` after the first one that saw the record."""
    facts = (await dmarc.run(replace(SUBJECT, now=NOW - days * DAY), zone(text))).facts
    return replace(SUBJECT, last_facts={"dmarc": facts})


async def differs(
    subject: Subject, *observed: ObservedPolicy, text: str = RECORD
) -> Sequence[Finding]:
    """The findings about these observed policies."""
    outcome = await dmarc.run(replace(subject, observed=observed), zone(text))
    code = "dmarc.observed_differs_from_published"
    return [finding for finding in outcome.findings if finding.kind.code == code]


async def test_another_policy_seen_by_most_reporters_is_reported() -> None:
    observed = (OTHER, OTHER._replace(reporter=B), SAME._replace(reporter=C))
    (finding,) = await differs(await later(30), *observed)
    assert (finding.subject, finding.verdict) == ("_dmarc.example.org", Verdict.WARN)
    assert finding.evidence == {
        "published": {"p": "reject", "sp": "reject", "adkim": "r", "aspf": "r"},
        "observed": {"p": "none", "sp": "none", "adkim": "r", "aspf": "r"},
        "reporters": ["a.test", B],
        "reporters_agreeing": 2,
        "reporters_heard": 3,
        "since": "2026-05-11T00:00:00.000Z",
    }


@pytest.mark.parametrize(
    "change", [{"p": "none", "sp": "none"}, {"sp": "none"}, {"adkim": "s"}, {"aspf": "s"}]
)
async def test_each_of_the_four_tags_is_compared(change: dict[str, Any]) -> None:
    observed = SAME._replace(**change)
    assert await differs(await later(30), observed, observed._replace(reporter=B))


@pytest.mark.parametrize(
    "observed",
    [
        (),
        (OTHER,),
        (OTHER, OTHER),  # the same reporter
        (OTHER, OTHER._replace(reporter=B, sp="reject")),  # they do not agree
        (OTHER, OTHER._replace(reporter=B), SAME._replace(reporter=C), SAME._replace(reporter=D)),
        (SAME, SAME._replace(reporter=B)),
        (SAME._replace(sp=None, adkim=None, aspf=None), SAME._replace(reporter=B, sp=None)),
        (OTHER._replace(p="monitor", sp=""), OTHER._replace(reporter=B, p="", sp="")),
        (OTHER._replace(adkim="x"), OTHER._replace(reporter=B, adkim="x")),
    ],
)
async def test_too_few_reporters_or_same_policy_are_no_finding(
    observed: tuple[ObservedPolicy, ...],
) -> None:
    assert await differs(await later(30), *observed) == []


@pytest.mark.parametrize(("days", "count"), [(2.9, 0), (3, 1)])
async def test_policy_must_be_unchanged_for_three_days(days: float, count: int) -> None:
    assert len(await differs(await later(days), OTHER, OTHER._replace(reporter=B))) == count


async def test_reports_up_to_the_day_of_the_change_are_ignored() -> None:
    early = [OTHER._replace(begin_at=NOW - 2.1 * DAY, reporter=name) for name in ("a.test", B)]
    assert await differs(await later(3), *early) == []
    assert await differs(await later(3.1), *early)


async def test_first_scan_and_changed_policy_are_not_compared() -> None:
    observed = (OTHER, OTHER._replace(reporter=B))
    assert await differs(SUBJECT, *observed) == []
    before = await later(30, RECORD.replace("p=reject", "p=none"))
    assert await differs(before, *observed) == []
    assert await differs(replace(await later(30), now=None), *observed) == []


async def test_change_of_reporting_addresses_keeps_policy_since() -> None:
    before = await later(30, RECORD.replace("d@example.org", "e@example.org"))
    assert await differs(before, OTHER, OTHER._replace(reporter=B))


@pytest.mark.parametrize("part", ["sp=rejct", "aspf=x", "p=none", "np=x"])
async def test_ambiguous_record_is_not_compared(part: str) -> None:
    text = f"{RECORD}; {part}"
    assert await differs(await later(30, text), OTHER, OTHER._replace(reporter=B), text=text) == []


async def test_record_of_a_parent_is_compared_at_the_parent() -> None:
    below = replace(SUBJECT, domain=DomainName("sub.example.org"))
    first: Any = (await dmarc.run(replace(below, now=NOW - 30 * DAY), zone())).facts
    observed = (OTHER, OTHER._replace(reporter=B))
    later = replace(below, last_facts={"dmarc": first}, observed=observed)
    facts: Any = (await dmarc.run(later, zone())).facts
    assert facts["record_at"] == "example.org"
    assert facts["policy_since"] == "2026-05-11T00:00:00.000Z"
    assert await differs(later, *observed) == []
    existing = {"dmarc": first | {"policy_tag": "sp"}}  # np applies since the name is gone
    changed: Any = (await dmarc.run(replace(later, last_facts=existing), zone())).facts
    assert changed["policy_since"] == "2026-06-10T00:00:00.000Z"


async def test_dns_failure_is_undetermined() -> None:
    subject = replace(await later(30), observed=(OTHER, OTHER._replace(reporter=B)))
    check_result = await run_check(dmarc, subject, Zone({"_dmarc.example.org": SERVFAIL}))
    assert (check_result.verdict, check_result.findings) == (Verdict.UNDETERMINED, ())


async def test_truncated_time_in_facts_is_ignored() -> None:
    subject = await later(30)
    subject = replace(
        subject,
        last_facts={"dmarc": {**subject.last_facts["dmarc"], "policy_since": "2026… [9 more]"}},
    )
    assert await differs(subject, OTHER, OTHER._replace(reporter=B)) == []


@pytest.mark.parametrize("change", ["np=none", "t=y"])
async def test_change_of_np_or_testing_mode_restarts_policy_since(change: str) -> None:
    now = "2026-06-10T00:00:00.000Z"
    text = f"v=DMARC1; p=reject; rua=mailto:d@example.org; {change}"
    before = await later(30, "v=DMARC1; p=reject; rua=mailto:d@example.org")
    facts: Any = (await dmarc.run(before, zone(text))).facts
    assert facts["policy_since"] == now
    unchanged: Any = (await dmarc.run(await later(30, text), zone(text))).facts
    assert unchanged["policy_since"] == "2026-05-11T00:00:00.000Z"
