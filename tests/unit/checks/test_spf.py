"""The spf check: the whole tree of records, its lookups, and its end."""

from typing import Any

import pytest

from app.checks.engine.execution import run_check
from app.checks.engine.types import Severity, Subject, Usage, Verdict
from app.checks.spf import spf
from app.protocols.names import DomainName
from tests.support.zones import BUDGET, SERVFAIL, TIMEOUT, Zone

DOMAIN = "example.org"
SUBJECT = Subject(DomainName(DOMAIN))
NINE, TEN, SIX = "ip4:192.0.2.9", "ip4:192.0.2.10", "ip6:2001:db8::1"
OTHERS: dict[Any, Any] = {
    (DOMAIN, "A"): ["192.0.2.1"],
    (DOMAIN, "MX"): ["10 mx.example.org"],
    ("mx.example.org", "A"): ["192.0.2.2"],
    "_spf.example.net": ["v=spf1 ip4:198.51.100.0/24 -all"],
    "soft.example.net": ["v=spf1 ip4:198.51.100.0/24 ?all"],
    "bare.example.net": ["no SPF"],
    "twice.example.net": ["v=spf1 -all", "v=spf1 ~all"],
    "bad.example.net": ["v=spf1 nonsense -all"],
    "four.example.net": ["v=spf1 a:mx.example.org a:mx.example.org a:mx.example.org mx -all"],
    ("four.example.net", "MX"): ["10 mx.example.org"],
    "loop.example.net": ["v=spf1 include:example.org -all"],
    "back.example.net": ["v=spf1 redirect=example.org"],
    "why.example.net": ["%{i} may not send as %{d}"],
    "accents.example.net": ["d\u00e9sol\u00e9"],
    "macro.example.net": ["%{x} is not a valid macro"],
    "kept.example.com": ["v=spf1 -all"],
    ("many.example.net", "MX"): [f"10 mx{number}.example.net" for number in range(11)],
    ("example.net", "SOA"): ["ns.example.net. hostmaster.example.net. 1"],
}
SOFT = "spf.all_softfail"
MANY = " ".join(f"ip4:203.0.113.{number}" for number in range(0, 60, 2))

TABLE = [
    ("v=spf1 mx -all", []),
    ("v=spf1 a mx include:_spf.example.net -all", []),
    ("v=spf1 redirect=_spf.example.net", []),
    ("V=SPF1 MX -ALL", []),
    ("v=spf1 ip4:300.0.0.1 -all", ["spf.syntax_error"]),
    ("v=spf1 inlude:_spf.example.net -all", ["spf.unknown_mechanism"]),
    ("v=spf1 foo foo -all", ["spf.unknown_mechanism"]),
    (
        "v=spf1 redirect=_spf.example.net redirect=_spf.example.net",
        ["spf.modifier_repeated"],
    ),
    ("v=spf2 -all", ["spf.bad_version"]),
    ('"v=spf1 -all', ["spf.leading_whitespace"]),
    (" v=spf1 -all", ["spf.leading_whitespace"]),
    ("v=spf1 mx +all", ["spf.all_pass"]),
    ("v=spf1 mx ?all", ["spf.all_neutral"]),
    ("v=spf1 redirect=soft.example.net", ["spf.all_neutral"]),
    ("v=spf1 mx", ["spf.all_missing"]),
    ("v=spf1 mx ~all", [SOFT]),
    ("v=spf1 mx -all a", ["spf.terms_after_all"]),
    ("v=spf1 mx -all redirect=_spf.example.net", ["spf.redirect_with_all"]),
    ("v=spf1 redirect=_spf.example.net mx", ["spf.modifiers_before_mechanisms"]),
    ("v=spf1 ptr -all", ["spf.ptr_used"]),
    ("v=spf1 ip4=192.0.2.1 -all", ["spf.ignored_modifier"]),
    ("v=spf1 mx ip=192.0.2.9 a= -all", ["spf.ignored_modifier", "spf.ignored_modifier"]),
    ("v=spf1 redirct=_spf.example.net", ["spf.ignored_modifier", "spf.all_missing"]),
    ("v=spf1 mx moo=cow rr=all match_subdomains=yes -all", []),
    ("v=spf1 exists:%{i}._spf.example.net -all", ["spf.exists_macro"]),
    ("v=spf1 ip4:20.0.0.0/9 -all", ["spf.overly_broad_ip", "spf.overly_broad_ip"]),
    ("v=spf1 ip6:2001:db8::/31 -all", ["spf.overly_broad_ip"]),
    ("v=spf1 -ip4:0.0.0.0/0 -all", []),
    ("v=spf1 ip4:0.0.0.0/1 -all", ["spf.open_network", "spf.overly_broad_ip"]),
    ("v=spf1 ip6:::/0 -all", ["spf.open_network"]),
    ("v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 -all", ["spf.redundant_ip"]),
    (
        "v=spf1 include:_spf.example.net include:_SPF.example.net -all",
        ["spf.duplicate_include"],
    ),
    (f"v=spf1 {MANY} -all", ["spf.record_too_long"]),
    ("v=spf1 include:gone.example.net -all", ["spf.include_not_found"]),
    (
        "v=spf1 include:gone.example.com.invalid -all",
        ["spf.include_not_found", "spf.include_takeover_risk"],
    ),
    ("v=spf1 redirect=gone.example.net", ["spf.include_not_found"]),
    ("v=spf1 include:bare.example.net -all", ["spf.include_missing_record"]),
    ("v=spf1 include:twice.example.net -all", ["spf.include_invalid"]),
    ("v=spf1 include:bad.example.net -all", ["spf.include_invalid"]),
    ("v=spf1 include:loop.example.net -all", ["spf.include_loop"]),
    ("v=spf1 include:example.org -all", ["spf.include_loop"]),
    ("v=spf1 redirect=back.example.net", ["spf.redirect_loop"]),
    (
        "v=spf1 include:four.example.net a mx a mx a mx -all",
        ["spf.too_many_lookups"],
    ),
    ("v=spf1 include:four.example.net a mx a -all", ["spf.near_lookup_limit"]),
    (
        "v=spf1 a:v1.example.net a:v2.example.net exists:v3.example.net -all",
        ["spf.too_many_void_lookups"],
    ),
    ("v=spf1 a:v1.example.net a:v2.example.net -all", []),
    ("v=spf1 mx:many.example.net -all", ["spf.mx_too_many_addresses"]),
    ("v=spf1 mx -all exp=why.example.net", []),
    ("v=spf1 mx -all exp=%{i}.example.net", []),  # it depends on the mail
    ("v=spf1 mx -all exp=gone.example.net", ["spf.exp_problem"]),
    ("v=spf1 mx -all exp=twice.example.net", ["spf.exp_problem"]),
    ("v=spf1 mx -all exp=accents.example.net", ["spf.exp_problem"]),
    ("v=spf1 mx -all exp=macro.example.net", ["spf.exp_problem"]),
]
SEVERAL = [
    ([], Usage.BOTH, ["spf.missing"]),
    (["google-site-verification=x"], Usage.BOTH, ["spf.missing"]),
    ([], Usage.PARKED, ["spf.missing"]),
    (["v=spf1 mx -all", "v=spf1 a ~all"], Usage.BOTH, ["spf.multiple_records"]),
    (["v=spf1 -all", "spf2.0/pra -all"], Usage.BOTH, ["spf.sender_id_record"]),
    (["v=spf1 mx -all"], Usage.PARKED, ["spf.not_locked_down"]),
    (["v=spf1 mx -all"], Usage.RECEIVES, ["spf.not_locked_down"]),
    (["v=spf1 mx -all"], Usage.SENDS, []),
    (["v=spf1 -all"], Usage.PARKED, []),
    (["v=spf1 -mx -all"], Usage.PARKED, []),
]


async def codes(texts: list[str], usage: Usage = Usage.BOTH) -> list[str]:
    """The codes of the findings, in order."""
    outcome = await spf.run(Subject(DomainName(DOMAIN), usage), Zone(OTHERS | {DOMAIN: texts}))
    pairs = [(finding.kind.code, finding.subject) for finding in outcome.findings]
    assert len(set(pairs)) == len(pairs)
    return [code for code, _ in pairs]


@pytest.mark.parametrize(("record", "expected"), TABLE)
async def test_record_is_parsed_as_receivers_do(record: str, expected: list[str]) -> None:
    assert await codes([record]) == expected


@pytest.mark.parametrize(("texts", "usage", "expected"), SEVERAL)
async def test_expected_record_depends_on_usage(
    texts: list[str], usage: Usage, expected: list[str]
) -> None:
    assert await codes(texts, usage) == expected


async def test_every_declared_code_can_occur() -> None:
    occurring = {code for record, _ in TABLE for code in await codes([record])}
    for texts, usage, _ in SEVERAL:
        occurring.update(await codes(texts, usage))
    elsewhere = {"spf.record_in_wrong_place", "spf.deprecated_type99", "spf.vendor_include_drift"}
    elsewhere.add("spf.cname_conflict")
    assert occurring == {kind.code for kind in spf.finds} - elsewhere


@pytest.mark.parametrize(
    ("texts", "usage", "after"),
    [
        ([], Usage.BOTH, "v=spf1 mx ~all"),
        ([], Usage.SENDS, "v=spf1 mx ~all"),
        ([], Usage.PARKED, "v=spf1 -all"),
        ([], Usage.RECEIVES, "v=spf1 -all"),
        (
            ["v=spf1 a include:x.example ~all", "v=spf1 mx a -all"],
            Usage.BOTH,
            "v=spf1 a include:x.example mx -all",
        ),
        (["v=spf1 a", "v=spf1 mx"], Usage.BOTH, "v=spf1 a mx ~all"),
        (["v=spf1 -all", "v=spf1 mx +all"], Usage.BOTH, "v=spf1 mx -all"),
        (["v=spf1 mx +all"], Usage.BOTH, "v=spf1 mx ~all"),
        (["v=spf1 mx all"], Usage.BOTH, "v=spf1 mx ~all"),
        (["v=spf1 mx ?all"], Usage.BOTH, "v=spf1 mx ~all"),
        (["v=spf1 mx"], Usage.BOTH, "v=spf1 mx ~all"),
        (["v=spf1 mx -all a"], Usage.BOTH, "v=spf1 a mx -all"),
        (["v=spf1 mx -all ~all"], Usage.BOTH, "v=spf1 mx -all"),
        (["v=spf1 mx -all -all"], Usage.BOTH, "v=spf1 mx -all"),
        (["v=spf1 mx -all redirect=_spf.example.net"], Usage.BOTH, "v=spf1 mx -all"),
        (["v=spf1 mx ptr -all"], Usage.BOTH, "v=spf1 mx -all"),
        (
            ["v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 -all"],
            Usage.BOTH,
            "v=spf1 ip4:192.0.2.0/24 -all",
        ),
        (["v=spf1 ip4:192.0.2.1 ip4:192.0.2.1 -all"], Usage.BOTH, "v=spf1 ip4:192.0.2.1 -all"),
        (
            ["v=spf1 include:_spf.example.net mx include:_spf.example.net -all"],
            Usage.BOTH,
            "v=spf1 include:_spf.example.net mx -all",
        ),
        (["v=spf1 mx include:gone.example.net -all"], Usage.BOTH, "v=spf1 mx -all"),
        (["v=spf1 mx include:bare.example.net -all"], Usage.BOTH, "v=spf1 mx -all"),
        ([" v=spf1 mx -all"], Usage.BOTH, "v=spf1 mx -all"),
        (["v=spf1 mx -all"], Usage.PARKED, "v=spf1 -all"),
    ],
)
async def test_fix_contains_exact_record(texts: list[str], usage: Usage, after: str) -> None:
    zone = Zone(OTHERS | {DOMAIN: texts})
    (finding,) = (await spf.run(Subject(DomainName(DOMAIN), usage), zone)).findings
    assert finding.fix is not None
    assert finding.fix.after == after
    assert finding.fix.before == ("\n".join(texts) or None)
    assert finding.fix.action == ("replace" if texts else "publish")
    assert (finding.fix.name, finding.fix.type) == (DOMAIN, "TXT")


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("v=spf1 ipv4:192.0.2.9 ip:192.0.2.10 ipv6:2001:db8::1 -all", f"{NINE} {TEN} {SIX} -all"),
        ("v=spf1 ip6:192.0.2.9 ip4:2001:db8::1 ~all", f"{NINE} {SIX} ~all"),
        ("v=spf1 192.0.2.9 +192.0.2.0/28 2001:db8::1 -all", f"{NINE} +ip4:192.0.2.0/28 {SIX} -all"),
        ("v=spf1 a:192.0.2.9 include:192.0.2.10 -all", f"{NINE} {TEN} -all"),
        ("v=spf1 ip4: 192.0.2.9 - all", f"{NINE} -all"),
        ("v=spf1 ip4:192.0.2.9 ~ all", f"{NINE} ~all"),
        ("v=spf1 ip4:192.0.2.9,192.0.2.10; -all", f"{NINE} {TEN} -all"),
        ("v=spf1 ip4:192.0.2.9 \u2013all", f"{NINE} -all"),
        ("v=spf1 ip4:192.0.2.9 -al", f"{NINE} -all"),
        ("v=spf1 ip4:192.0.2.9~all", f"{NINE} ~all"),
        ("v=spf1 mxip4:192.0.2.9 -all", f"mx {NINE} -all"),
        ("v=spf1 mx -allip4:192.0.2.9", f"mx {NINE} -all"),
        ("v=spf1 inlude:_spf.example.net -all", "include:_spf.example.net -all"),
        ("v=spf1 include:https://_spf.example.net/ -all", "include:_spf.example.net -all"),
        ("v=spf1 redirect:_spf.example.net", "redirect=_spf.example.net"),
        ("v=spf10 mx -all", "mx -all"),
        ("v=spf1mx -all", "mx -all"),
        ("spf1 mx -all", "mx -all"),
        ("v:spf1 mx -all", "mx -all"),
        ("v=spf1 mx al", None),
        ("v=spf1 include: mx -all", None),
        ("v=spf1 ip4:192.0.2.300 -all", None),
        ("v=spf1 mx/ -all", None),
        ("v=spf1 foo -all", None),
        ("v=spf1 mx, ~all -all", None),
        ("v=spf1 mx -all, -ip4:192.0.2.9", None),
        ("v=spf1 ip4: 0.0.0.0/0 -all", None),
        ("v=spf2 mx -all", None),
    ],
)
async def test_malformed_record_is_repaired_where_its_meaning_is_evident(
    text: str, after: str | None
) -> None:
    zone = Zone(OTHERS | {DOMAIN: [text]})
    findings = (await run_check(spf, SUBJECT, zone)).findings
    mistakes = [finding for finding in findings if finding.kind.is_syntax]
    assert mistakes
    assert "spf.missing" not in {finding.kind.code for finding in findings}
    for finding in mistakes:
        assert (finding.fix.after if finding.fix else None) == (after and f"v=spf1 {after}")


@pytest.mark.parametrize(
    "record",
    ["v=spf1 redirect=soft.example.net", "v=spf1 include:outer.example.net -all"],
)
async def test_record_of_another_domain_has_no_fix(record: str) -> None:
    data = OTHERS | {
        DOMAIN: [record],
        "outer.example.net": ["v=spf1 include:bare.example.net -all"],
    }
    (finding,) = (await spf.run(SUBJECT, Zone(data))).findings
    assert finding.fix is None


async def test_facts_contain_tree_with_lookup_costs() -> None:
    record = "v=spf1 mx include:four.example.net include:_spf.example.net -all"
    facts = (await spf.run(SUBJECT, Zone(OTHERS | {DOMAIN: [record]}))).facts
    includes = facts["includes"]
    assert [(entry["domain"], entry["lookups"]) for entry in includes] == [
        ("four.example.net", 5),
        ("_spf.example.net", 1),
    ]
    assert {
        name: facts[name] for name in facts if name not in ("includes", "providers", "vendors")
    } == {
        "record_count": 1,
        "result": "valid",
        "lookups": 7,
        "void_lookups": 0,
        "all": "-all",
        "record": record,
        "ip4_addresses": 256,
        "complete": True,
    }


async def test_facts_name_services_that_may_send() -> None:
    data = OTHERS | {
        DOMAIN: ["v=spf1 include:_spf.google.com -all"],
        "_spf.google.com": ["v=spf1 ip4:203.0.113.0/24 -all"],
    }
    assert (await spf.run(SUBJECT, Zone(data))).facts["providers"] == ["Google Workspace"]


@pytest.mark.parametrize(
    ("texts", "result", "count"),
    [
        ([], "none", 0),
        (["v=spf1 -all", "v=spf1 -all"], "permerror", 2),
        (["v=spf1 foo"], "permerror", 1),
    ],
)
async def test_facts_without_usable_record_are_minimal(
    texts: list[str], result: str, count: int
) -> None:
    facts = (await spf.run(SUBJECT, Zone({DOMAIN: texts}))).facts
    assert (facts["result"], facts["record_count"]) == (result, count)
    assert (facts["lookups"], facts["void_lookups"], facts["all"]) == (None, None, None)


async def test_loop_makes_costs_unknown() -> None:
    data = OTHERS | {DOMAIN: ["v=spf1 include:loop.example.net -all"]}
    outcome = await spf.run(SUBJECT, Zone(data))
    assert (outcome.facts["lookups"], outcome.facts["result"]) == (None, "permerror")
    assert outcome.findings[0].evidence == {"path": [DOMAIN, "loop.example.net", DOMAIN]}


async def test_two_loops_through_one_record_are_one_finding() -> None:
    data = OTHERS | {
        DOMAIN: ["v=spf1 include:loop.example.net include:also.example.net -all"],
        "also.example.net": ["v=spf1 include:example.org -all"],
    }
    outcome = await spf.run(SUBJECT, Zone(data))
    assert [finding.kind.code for finding in outcome.findings] == ["spf.include_loop"]


async def test_most_expensive_include_is_listed_first() -> None:
    data = OTHERS | {
        DOMAIN: ["v=spf1 include:_spf.example.net include:four.example.net a mx a mx a -all"]
    }
    (finding,) = (await spf.run(SUBJECT, Zone(data))).findings
    assert (finding.kind.code, finding.severity) == ("spf.too_many_lookups", Severity.CRITICAL)
    assert finding.evidence["lookups"] == 11
    assert finding.evidence["dearest"][0] == {"domain": "four.example.net", "lookups": 5}


async def test_record_over_the_limit_is_reported_although_budget_ends() -> None:
    data = OTHERS | {
        DOMAIN: ["v=spf1 " + " ".join(f"include:n{n}.example.net" for n in range(11)) + " -all"],
        "n0.example.net": BUDGET,
    }
    outcome = await spf.run(SUBJECT, Zone(data))
    assert [finding.kind.code for finding in outcome.findings] == ["spf.too_many_lookups"]
    assert not outcome.facts["complete"]


@pytest.mark.parametrize(
    "data",
    [
        {DOMAIN: SERVFAIL},
        {DOMAIN: TIMEOUT},
        {"_spf.example.net": SERVFAIL},
        {("mx.example.org", "A"): TIMEOUT},
        {(DOMAIN, "MX"): SERVFAIL},
        {("example.com", "SOA"): SERVFAIL},
    ],
)
async def test_dns_failure_is_undetermined(data: dict[Any, Any]) -> None:
    record = "v=spf1 mx a:mx.example.org include:_spf.example.net include:no.example.com -all"
    check_result = await run_check(spf, SUBJECT, Zone(OTHERS | {DOMAIN: [record]} | data))
    assert check_result.verdict is Verdict.UNDETERMINED
    assert not check_result.findings


@pytest.mark.parametrize("name", ["_spf", "spf", "_dmarc"])
async def test_record_at_wrong_name_is_reported(name: str) -> None:
    record = "v=spf1 mx -all"
    outcome = await spf.run(SUBJECT, Zone({f"{name}.{DOMAIN}": [record]}))
    assert [f.kind.code for f in outcome.findings] == ["spf.missing", "spf.record_in_wrong_place"]
    fix = outcome.findings[1].fix
    assert fix is not None
    assert (fix.action, fix.name, fix.after) == ("publish", DOMAIN, record)


async def test_other_names_are_not_queried_if_there_is_a_record() -> None:
    zone = Zone({DOMAIN: ["v=spf1 -all"], f"_spf.{DOMAIN}": ["v=spf1 mx -all"]})
    assert (await spf.run(SUBJECT, zone)).findings == ()
    assert (f"_spf.{DOMAIN}", "TXT") not in zone.asked


async def test_record_of_old_type_is_reported_if_there_is_no_other() -> None:
    zone = Zone({(DOMAIN, "SPF"): ["v=spf1 mx -all"]})
    findings = (await spf.run(SUBJECT, zone)).findings
    assert [finding.kind.code for finding in findings] == ["spf.missing", "spf.deprecated_type99"]


async def test_failed_explanation_lookup_is_undetermined() -> None:
    data: dict[Any, Any] = {DOMAIN: ["v=spf1 -all exp=why.example.net"]}
    check_result = await run_check(spf, SUBJECT, Zone(data | {"why.example.net": SERVFAIL}))
    assert check_result.verdict is Verdict.UNDETERMINED
