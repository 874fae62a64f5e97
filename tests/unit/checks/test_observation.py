"""What findings observed, in words, for all findings of the test zones."""

import asyncio
import re
from collections import Counter

import pytest

from app.checks import FINDING_TYPES
from app.checks.engine.observation import observation
from app.checks.engine.types import Finding, FindingType
from tests.support import fixed_zones, reference_zones
from tests.support.zones import Zone

CODE = re.compile(r"`[^`]*`")


def sentences(*texts: str) -> list[str]:
    """The sentences of the texts, without what differs in spelling only."""
    parts = re.split(r"(?<=\.)\s+(?=[A-Z`])", " ".join(f"{text.rstrip('.')}." for text in texts))
    return [part.replace("`", "").strip(" .").casefold() for part in parts]


def shown(finding: Finding) -> list[str]:
    """The sentences that a page shows about the finding."""
    kind, fix = finding.kind, finding.fix
    observed = observation(kind.observed, finding.subject, finding.evidence)
    advice = (fix.why, fix.rollback) if fix else (kind.remediation,)
    return sentences(kind.summary, observed, kind.why, *advice)


async def zone_findings() -> list[Finding]:
    """The findings of all domains of the test zones."""
    zone = Zone(reference_zones.records(), reference_zones.pages())
    results = [
        await fixed_zones.scan(reference_zones.subject(domain), zone)
        for domain in reference_zones.EXPECTED
    ]
    return [item for result in results for item in fixed_zones.findings(result).values()]


@pytest.fixture(scope="module")
def findings() -> list[Finding]:
    return asyncio.run(zone_findings())


def test_no_finding_shows_the_same_sentence_twice(findings: list[Finding]) -> None:
    assert len({finding.kind.code for finding in findings}) > 50
    repeated = {
        finding.kind.code: sentence
        for finding in findings
        for sentence, count in Counter(shown(finding)).items()
        if count > 1
    }
    assert repeated == {}


def test_every_finding_says_where_something_was_observed(findings: list[Finding]) -> None:
    for finding in findings:
        text = observation(finding.kind.observed, finding.subject, finding.evidence)
        assert CODE.search(text), text
        assert not text.startswith("This was observed"), finding


@pytest.mark.parametrize("kind", FINDING_TYPES.values(), ids=list(FINDING_TYPES))
def test_every_type_has_a_sentence_of_its_own(kind: FindingType) -> None:
    observed = sentences(kind.observed)
    assert kind.observed.endswith(".")
    assert not set(observed) & set(sentences(kind.summary, kind.why, kind.remediation))


def test_values_are_shown_as_code_and_reasons_as_text() -> None:
    evidence = {"record": "v=x `y`", "reason": "it is not valid.", "hosts": ["a", "b", "c"]}
    text = observation("{name} has {record}: {reason:text}, {hosts}, {item}.", "n.test t", evidence)
    assert text == "`n.test` has `v=x 'y'`: it is not valid, `a`, `b` and `c`, `t`."


def test_long_values_are_shortened() -> None:
    assert observation("{record}", "n.test", {"record": "x" * 5000}) == f"`{'x' * 300}…`"


def test_finding_of_an_older_version_without_the_evidence_names_its_subject() -> None:
    assert observation("{record}", "n.test", {}) == "This was observed at `n.test`."
