"""The proposed record for a stricter policy passes the dmarc check like a fix."""

import pytest

from app.analysis.policy import proposals
from app.analysis.policy.proposals import Tag
from app.analysis.policy.published import Published
from app.checks.dmarc import dmarc, keeping
from app.checks.engine.types import Finding, Fix, Severity, Subject
from app.protocols.dmarc import Policy, parse_record
from app.protocols.names import DomainName
from tests.support.zones import Zone

SUBJECT = Subject(DomainName("example.org"))
NAME = "_dmarc.example.org"


def zone(text: str) -> Zone:
    return Zone({NAME: [text], ("example.org", "MX"): ["10 mx.example.org"]})


async def problems(text: str) -> set[str]:
    """The codes of the findings about the record, of severity low or above."""

    def is_problem(finding: Finding) -> bool:
        return finding.severity.rank < Severity.INFO.rank

    findings = (await dmarc.run(SUBJECT, zone(text))).findings
    return {finding.kind.code for finding in findings if is_problem(finding)}


@pytest.mark.parametrize(
    ("text", "tag", "policy"),
    [
        ("v=DMARC1; p=none; rua=mailto:d@example.org", "p", Policy.QUARANTINE),
        ("v=DMARC1; p=quarantine; pct=50; rua=mailto:d@example.org", "p", Policy.REJECT),
        ("v=DMARC1; p=reject; sp=none; rua=mailto:d@example.org", "sp", Policy.QUARANTINE),
        ("v=DMARC1; p=quarantine; np=none; t=y; rua=mailto:d@example.org", "np", Policy.QUARANTINE),
        ("v=DMARC1; p=none; rua=d@example.org; ruf=mailto:f@example.org", "p", Policy.QUARANTINE),
    ],
)
async def test_proposal_passes_the_proof_of_fixes(text: str, tag: Tag, policy: Policy) -> None:
    proposal = proposals.proposal(tag, policy, Published(NAME, text, parse_record(text)))
    assert proposal is not None
    fix = Fix(
        action="replace",
        name=NAME,
        type="TXT",
        before=text,
        after=proposal.text,
        rollback=text,
        why="",
    )
    assert await keeping.keeps(SUBJECT, fix, zone(text), zone(proposal.text))
    stricter = {"dmarc.policy_quarantine"}
    assert await problems(proposal.text) - await problems(text) <= stricter
