"""The dkim check: the keys of known and of common selectors."""

import base64
from typing import Any

import pytest

from app.checks.dkim import COMMON, dkim, key_hygiene
from app.checks.engine.execution import run_check
from app.checks.engine.types import Subject, Usage, Verdict
from app.protocols.names import DomainName
from tests.support.dkim_keys import GOOD, ONE, SHORT, WEAK, digest
from tests.support.zones import SERVFAIL, TIMEOUT, Zone

SUBJECT = Subject(DomainName("example.org"), dkim_selectors=("one",))
UNNAMED = Subject(DomainName("example.org"))
ED25519 = base64.b64encode(bytes(range(32))).decode()


TABLE = [
    ([f"v=DKIM1; k=rsa; p={GOOD}"], []),
    ([f"p={GOOD}"], []),
    ([f"v=DKIM1; p={SHORT}"], ["dkim.key_1024"]),
    ([f"v=DKIM1; p={WEAK}"], ["dkim.key_too_short"]),
    (["v=DKIM1; p="], ["dkim.key_revoked"]),
    ([f"v=DKIM1; k=ed25519; p={ED25519}"], ["dkim.ed25519_only"]),
    ([f"v=DKIM1; k=dsa; p={GOOD}"], ["dkim.key_invalid"]),
    (["v=DKIM1; k=rsa"], ["dkim.key_invalid"]),
    ([f"v=DKIM1; p={GOOD[:-9]}"], ["dkim.key_corrupt"]),
    (["v=DKIM1; p=!!!"], ["dkim.key_corrupt"]),
    ([f"k=rsa; v=DKIM1; p={GOOD}"], ["dkim.record_syntax"]),
    ([f"v=DKIM1; v=DKIM1; p={GOOD}"], ["dkim.record_syntax"]),
    (["a text that is no key"], ["dkim.record_syntax"]),
    ([f"p={GOOD}", f"p={SHORT}"], ["dkim.multiple_records"]),
    ([f"v=DKIM1; h=sha1; p={GOOD}"], ["dkim.sha1_only"]),
    ([f"v=DKIM1; h=sha1:sha256; p={GOOD}"], []),
    ([f"v=DKIM1; h=sha256:sha9:sha9; p={GOOD}"], ["dkim.unknown_hash"]),
    ([f"v=DKIM1; s=web; p={GOOD}"], ["dkim.service_type"]),
    ([f"v=DKIM1; s=email; p={GOOD}"], []),
    ([f"v=DKIM1; t=y; p={GOOD}"], ["dkim.testing_flag"]),
    ([f"v=DKIM1; t=s; p={GOOD}"], []),
    ([], ["dkim.selector_missing"]),
]
PARKED = Subject(DomainName("example.org"), Usage.PARKED)
AT_365: dict[Any, Any] = {("example.org", "MX"): ["10 org.mail.protection.outlook.com"]}
PLACES: list[tuple[Subject, dict[Any, Any], list[str]]] = [
    (SUBJECT, {(ONE, "CNAME"): ["gone.example.net"]}, ["dkim.selector_cname_broken"]),
    (
        SUBJECT,
        {(ONE, "CNAME"): ["one.example.net"], "one.example.net": [f"p={GOOD}"]},
        [],
    ),
    (UNNAMED, {}, ["dkim.no_selector_known"]),
    (UNNAMED, {"google._domainkey.example.org": [f"p={GOOD}"]}, []),
    (UNNAMED, {"*._domainkey.example.org": [f"p={GOOD}"]}, ["dkim.wildcard"]),
    (UNNAMED, {"*._domainkey.example.org": ["v=DKIM1; p="]}, ["dkim.wildcard"]),
    (UNNAMED, {"*.example.org": ["v=spf1 -all"]}, ["dkim.no_selector_known"]),
    (SUBJECT, {"*.example.org": ["v=spf1 -all"]}, ["dkim.selector_missing"]),
    (SUBJECT, {"*._domainkey.example.org": ["v=DKIM1; p="], ONE: [f"p={GOOD}"]}, ["dkim.wildcard"]),
    (UNNAMED, AT_365, ["dkim.no_selector_known", "dkim.provider_default_not_set"]),
    (SUBJECT, AT_365, ["dkim.selector_missing", "dkim.provider_default_not_set"]),
    (SUBJECT, AT_365 | {ONE: [f"p={GOOD}"]}, []),
    (
        UNNAMED,
        AT_365 | {("selector2._domainkey.example.org", "CNAME"): ["gone.example.net"]},
        ["dkim.no_selector_known"],
    ),
    (PARKED, AT_365, ["dkim.no_selector_known"]),
]


async def codes(subject: Subject, data: dict[Any, Any]) -> list[str]:
    """The codes of the findings, in order."""
    return [finding.kind.code for finding in (await dkim.run(subject, Zone(data))).findings]


@pytest.mark.parametrize(("texts", "expected"), TABLE)
async def test_key_is_parsed_as_receivers_do(texts: list[str], expected: list[str]) -> None:
    assert await codes(SUBJECT, {ONE: texts}) == expected


@pytest.mark.parametrize(("subject", "data", "expected"), PLACES)
async def test_selector_is_queried_at_its_possible_names(
    subject: Subject, data: dict[Any, Any], expected: list[str]
) -> None:
    assert await codes(subject, data) == expected


async def test_every_declared_code_can_occur() -> None:
    occurring = {code for texts, _ in TABLE for code in await codes(SUBJECT, {ONE: texts})}
    for subject, data, _ in PLACES:
        occurring.update(await codes(subject, data))
    assert occurring == {kind.code for kind in dkim.finds} - {
        *(kind.code for kind in key_hygiene.FINDING_TYPES),
        "dkim.cname_conflict",
    }


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (f"v=DKIM1; t=y; p={GOOD}", f"v=DKIM1; p={GOOD}"),
        (f"v=DKIM1;t=y:s;p={GOOD}", f"v=DKIM1; t=s; p={GOOD}"),
        (f"v=DKIM1; h=sha1; p={GOOD};", f"v=DKIM1; p={GOOD}"),
        (f"v=DKIM1; s=web; p={GOOD}", f"v=DKIM1; p={GOOD}"),
    ],
)
async def test_fix_contains_exact_record(before: str, after: str) -> None:
    (finding,) = (await dkim.run(SUBJECT, Zone({ONE: [before]}))).findings
    assert finding.fix is not None
    assert (finding.fix.action, finding.fix.name, finding.fix.type) == ("replace", ONE, "TXT")
    assert (finding.fix.before, finding.fix.after) == (before, after)


async def test_ed25519_key_with_rsa_key_is_ok() -> None:
    subject = Subject(DomainName("example.org"), dkim_selectors=("one", "two"))
    data: dict[Any, Any] = {
        ONE: [f"v=DKIM1; k=ed25519; p={ED25519}"],
        "two._domainkey.example.org": [f"p={GOOD}"],
    }
    assert await codes(subject, data) == []


async def test_facts_describe_each_selector() -> None:
    subject = Subject(DomainName("example.org"), dkim_selectors=("one", "two"))
    facts = (await dkim.run(subject, Zone({ONE: [f"v=DKIM1; t=y; p={SHORT}"]}))).facts
    assert facts == {
        "selectors": {
            "one": {
                "found": True,
                "key_type": "rsa",
                "bits": 1024,
                "revoked": False,
                "testing": True,
                "key_sha256": digest(SHORT),
                "status": Verdict.WARN,
            },
            "two": {"found": False, "status": Verdict.FAIL},
        },
        "wildcard": False,
    }


async def test_only_named_selectors_are_queried_once() -> None:
    subject = Subject(
        DomainName("example.org"),
        dkim_selectors=("one", "two"),
        observed_selectors=(("two", "example.org"),),
    )
    zone = Zone({})
    await dkim.run(subject, zone)
    assert [name for name, rdtype in zone.asked if rdtype == "TXT"] == [
        ONE,
        "two._domainkey.example.org",
        "no-such-selector-here._domainkey.example.org",  # whether a wildcard answers
    ]


async def test_selector_from_reports_is_checked_if_it_has_a_key() -> None:
    observed = (("two", "example.org"), ("gone", "example.org"), ("two", "mail.example.org"))
    subject = Subject(DomainName("example.org"), observed_selectors=observed)
    key = TABLE[0][0][0]
    zone = Zone({"two._domainkey.example.org": [key], "two._domainkey.mail.example.org": [key]})
    outcome = await dkim.run(subject, zone)
    assert list(outcome.facts["selectors"]) == ["two", "two._domainkey.mail.example.org"]
    assert "dkim.selector_missing" not in {finding.kind.code for finding in outcome.findings}


async def test_selectors_from_reports_are_queried_before_common_ones() -> None:
    observed = tuple((f"s{number}", "example.org") for number in range(50))
    zone = Zone({})
    await dkim.run(Subject(DomainName("example.org"), observed_selectors=observed), zone)
    queried = [name.partition(".")[0] for name, rdtype in zone.asked if rdtype == "TXT"]
    assert queried[:-1] == [f"s{number}" for number in range(30)]


async def test_common_selectors_are_tried_if_none_is_named() -> None:
    zone = Zone({})
    outcome = await dkim.run(UNNAMED, zone)
    queried = [name.partition(".")[0] for name, rdtype in zone.asked if rdtype == "TXT"]
    assert queried[:-1] == list(COMMON)
    assert outcome.verdict is Verdict.INFO


@pytest.mark.parametrize("failure", [SERVFAIL, TIMEOUT])
@pytest.mark.parametrize("subject", [SUBJECT, UNNAMED], ids=["named", "unnamed"])
async def test_dns_failure_is_undetermined(subject: Subject, failure: Any) -> None:
    data: dict[Any, Any] = {ONE: failure, "s1._domainkey.example.org": failure}
    check_result = await run_check(dkim, subject, Zone(data))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings
