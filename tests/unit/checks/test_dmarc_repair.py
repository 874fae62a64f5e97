"""The fixes of malformed DMARC records correct every evident mistake at once."""

from typing import Any

import pytest

from app.checks.dmarc import dmarc
from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject
from app.protocols.names import DomainName
from tests.support.zones import Zone

SUBJECT = Subject(DomainName("example.org"))
NAME = "_dmarc.example.org"
RUA = "rua=mailto:d@example.org"
WHOLE = f"sp=reject; np=reject; {RUA}"
HOSTS: dict[Any, Any] = {("example.org", "MX"): ["10 mx.example.org"]}
DUPLICATE = "dmarc.duplicate_tag"
MALFORMED, MISSING_P = "dmarc.malformed_tag", "dmarc.policy_missing_p"
INVALID_URI = "dmarc.rua_invalid_uri"
GOOD = "v=DMARC1; p=reject; rua=mailto:d@example.org"
BOTH = f"{GOOD},mailto:e@example.org"


@pytest.mark.parametrize(
    ("text", "codes", "after"),
    [
        (f"{GOOD}v=DMARC1; p=none", {DUPLICATE, INVALID_URI}, None),
        ("v=DMARC1; p=reject; rua=mailto: d@example.org", {INVALID_URI}, GOOD),
        ("v=DMARC1; p=reject; rua==mailto:d@example.org", {INVALID_URI}, GOOD),
        ("v=DMARC1; p=reject; rua=mailto:mailto:d@example.org", {INVALID_URI}, GOOD),
        ("v=DMARC1; p=reject; rua=mailto d@example.org", {INVALID_URI}, None),
        (f"{GOOD}; rua=mailto:e@example.org", {DUPLICATE}, BOTH),
        (f"{GOOD};e@example.org", {MALFORMED}, BOTH),
        (f"{GOOD}; mailto:e@example.org", {MALFORMED}, BOTH),
        (f"v=DMARC1; p=quarantine; p=reject; {RUA}", {DUPLICATE}, None),
        (f"v=DMARC1; p=reject; p=REJECT; {RUA}", {DUPLICATE}, GOOD),
        ("v=DMARC1; p:reject; rua:mailto:d@example.org", {MISSING_P, MALFORMED}, GOOD),
        (f"v=DMARC1; policy=reject; {RUA}", {MISSING_P}, None),
        (f"v=DMARC1; reject; {RUA}", {MISSING_P, MALFORMED}, None),
        *(
            (f"{version}; p=reject; {RUA}", {"dmarc.syntax_error"}, GOOD)
            for version in (
                *("DMARC1", "v DMARC1", "=DMARC1", "vDMARC1", "v:DMARC1", "v=DMARC", "v=DMARC 1"),
                *("DMARC", "v= dmarc1", "v==DMARC1", "'DMARC1", "v=DMARCv1"),
            )
        ),
        (f"p=reject; {RUA}", {"dmarc.syntax_error"}, GOOD),
        (f"v=DMARC1p=reject; {RUA}", {"dmarc.syntax_error"}, GOOD),
        (f"v=DMARC1; p=reject; np=bad; {RUA}", {"dmarc.policy_invalid"}, GOOD),
        (f"v=DMARC1; p=reject; sp=; {RUA}", {"dmarc.policy_invalid"}, GOOD),
        (f"v=DMARC1; p=reject; sp=bad; {RUA}", {"dmarc.policy_invalid"}, None),
        (
            f"v=DMARC1; p=reject; ri=60; rf=afrf; pct=50; {RUA}",
            {f"dmarc.removed_tag_{tag}" for tag in ("ri", "rf", "pct")} | {"dmarc.pct_below_100"},
            GOOD,
        ),
        (
            f"v=DMARC1; p=none; pct=50; {RUA}",
            {"dmarc.policy_none"},
            "v=DMARC1; p=quarantine; rua=mailto:d@example.org",
        ),
    ],
)
async def test_fix_corrects_every_evident_mistake_at_once(
    text: str, codes: set[str], after: str | None
) -> None:
    zone = Zone(HOSTS | {NAME: [text]})
    findings = (await run_check(dmarc, SUBJECT, zone)).findings
    assert codes <= {finding.kind.code for finding in findings}
    for finding in findings:
        if finding.kind.code in codes:
            assert finding.fix is None if after is None else finding.fix is not None, finding
            assert finding.fix is None or finding.fix.after == after
    assert "dmarc.missing" not in {finding.kind.code for finding in findings}


async def test_text_names_the_values_of_a_repeated_tag() -> None:
    text = f"v=DMARC1; p=quarantine; p=reject; {WHOLE}"
    (finding,) = [
        finding
        for finding in (await dmarc.run(SUBJECT, Zone(HOSTS | {NAME: [text]}))).findings
        if finding.kind.code == DUPLICATE
    ]
    assert finding.evidence["reason"] == (
        "keep one of p=quarantine and p=reject; receivers apply the first one"
    )


async def test_fix_without_pct_says_that_the_policy_then_applies_to_all_mail() -> None:
    text = f"v=DMARC1; p=reject; pct=20; {WHOLE}"
    findings = (await dmarc.run(SUBJECT, Zone(HOSTS | {NAME: [text]}))).findings
    fixes = [finding.fix for finding in findings if finding.fix is not None]
    assert len(fixes) == 2
    assert all("apply p=reject to all mail that fails" in fix.why for fix in fixes)
