"""Scans of hostile domains over real sockets.

Every scan ends within its budget, reports what the owner of the domain needs, and does not affect
concurrent scans of other domains.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from app.checks import CHECKS
from app.checks.engine.execution import run_check
from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import CheckResult, Subject, Verdict
from app.network.session import LiveNetwork
from app.ports.network import SessionFactory
from app.protocols.names import DomainName
from app.settings import Settings
from demo.fault_injection import Behavior, Failure
from demo.nameserver import NameServer
from tests.support.zones import Zone

BUDGET = 120
HEAD = (
    "@ 300 IN SOA ns.@. root.@. 1 3600 900 1209600 300\n@ 300 IN NS ns.@.\nns 300 IN A 192.0.2.1\n"
)


def txt(owner: str, text: str) -> str:
    """One TXT record, split into character-strings."""
    strings = (text[at : at + 250] for at in range(0, len(text), 250))
    return f"{owner} 300 IN TXT " + " ".join(f'"{string}"' for string in strings)


def spf_tree(width: int) -> Iterator[str]:
    """SPF records that each include ten others, three levels deep."""
    for parent in ("", *(f"{a}." for a in range(width))):
        for number in range(width):
            below = [f"include:{n}.{number}.{parent}tree.test" for n in range(width)]
            yield txt(f"{number}.{parent}tree.test.", f"v=spf1 {' '.join(below)} -all")
    for number in range(width**3):
        a, b, c = number // 100, number // 10 % 10, number % 10
        yield txt(f"{c}.{b}.{a}.tree.test.", "v=spf1 ip4:192.0.2.1 -all")
    yield txt("@", "v=spf1 " + " ".join(f"include:{n}.tree.test" for n in range(width)) + " -all")


def addresses(prefix: str, count: int) -> Iterator[str]:
    """Hosts that each have their own address."""
    for number in range(count):
        yield f"{prefix}{number} 300 IN A 198.51.{number // 250}.{number % 250 + 1}"


RUA = ",".join(f"mailto:r@host{n}.elsewhere.test" for n in range(300))
INNER = ("127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1")
ZONES: Mapping[str, Iterable[str]] = {
    "tree.test": list(dict.fromkeys(spf_tree(10))),
    "self.test": [txt("@", "v=spf1 include:self.test -all")],
    "macro.test": [txt("@", "v=spf1 exists:%{i}.%{l}.macro.test include:%{d2}.%{s} redirect=%{h}")],
    "redirect.test": [
        txt("@", "v=spf1 redirect=r0.redirect.test"),
        *(txt(f"r{n}", f"v=spf1 redirect=r{n + 1}.redirect.test") for n in range(49)),
        txt("r49", "v=spf1 -all"),
    ],
    "long.test": [txt("@", "v=spf1 " + "ip4:198.51.100.1 " * 3500 + "-all")],
    "reports.test": [txt("_dmarc", f"v=DMARC1; p=reject; rua={RUA}")],
    "mx.test": [
        *(f"@ 300 IN MX 10 mail{n}.mx.test." for n in range(300)),
        *addresses("mail", 300),
    ],
    "alias.test": [
        "_dmarc 300 IN CNAME a.alias.test.",
        "a 300 IN CNAME b.alias.test.",
        "b 300 IN CNAME _dmarc.alias.test.",
    ],
    "bulk.test": [
        *(txt("@", f"{n:03d}-" + "x" * 200) for n in range(280)),
        txt("@", "v=spf1 -all"),
    ],
    "inner.test": [
        *(f"@ 300 IN MX {n} m{n}.inner.test." for n in range(len(INNER))),
        *(f"m{n} 300 IN A {address}" for n, address in enumerate(INNER)),
        "m0 300 IN AAAA ::1",
    ],
}


def scan_zones(
    folder: Path,
    zones: Mapping[str, Iterable[str]],
    behavior: Behavior | None = None,
    *,
    query_seconds: float = 60,
    seconds: float = 300,
) -> Mapping[str, ScanResult]:
    """The scan results of all domains, four at a time, over real sockets."""
    for apex, lines in zones.items():
        text = HEAD.replace("@.", f"{apex}.") + "\n".join(lines) + "\n"
        (folder / f"{apex}.zone").write_text(text)
    subjects = {apex: Subject(DomainName(apex)) for apex in zones}

    async def main(new_session: SessionFactory) -> dict[str, ScanResult]:
        return await run_checks(subjects, new_session, concurrency=4, seconds=seconds)

    with NameServer(folder, behavior or Behavior()) as names:
        settings = Settings(
            secret_key="k" * 40,
            database_url="sqlite://",
            redis_url="redis://127.0.0.1:1/0",
            dns_query_seconds=query_seconds,
            scan_query_budget=BUDGET,
            dns_nameservers=((names.address, names.port),),
        )
        return LiveNetwork(settings).run(main)


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, ScanResult]:
    return scan_zones(tmp_path_factory.mktemp("zones"), ZONES)


def result_of(scan_result: ScanResult, check: str) -> CheckResult:
    return next(
        check_result for check_result in scan_result.check_results if check_result.check == check
    )


def codes(check_result: CheckResult) -> set[str]:
    return {finding.kind.code for finding in check_result.findings}


@pytest.mark.parametrize("domain", ZONES)
def test_every_scan_ends_within_its_budget_and_no_check_fails(
    domain: str, results: Mapping[str, ScanResult]
) -> None:
    scan_result = results[domain]
    assert scan_result.query_count <= BUDGET
    assert [check_result.check for check_result in scan_result.check_results] == [
        check.name for check in CHECKS
    ]
    reasons = [check_result.reason or "" for check_result in scan_result.check_results]
    assert not any("defect" in reason or "budget" in reason for reason in reasons), reasons


@pytest.mark.parametrize(
    ("domain", "check", "code"),
    [
        ("tree.test", "spf", "spf.too_many_lookups"),
        ("self.test", "spf", "spf.include_loop"),
        ("macro.test", "spf", "spf.exists_macro"),
        ("redirect.test", "spf", "spf.too_many_lookups"),
        ("long.test", "spf", "spf.record_too_long"),
        ("reports.test", "dmarc", "dmarc.rua_too_many"),
        ("reports.test", "dmarc", "dmarc.rua_external_unauthorized"),
        ("bulk.test", "dns", "dns.answer_over_udp"),
        ("inner.test", "mx", "mx.host_not_public"),
    ],
)
def test_hostile_domain_has_finding(
    domain: str, check: str, code: str, results: Mapping[str, ScanResult]
) -> None:
    check_result = result_of(results[domain], check)
    assert check_result.definite
    assert code in codes(check_result)


def test_only_ten_report_hosts_are_queried(results: Mapping[str, ScanResult]) -> None:
    facts = result_of(results["reports.test"], "dmarc").facts
    assert (len(facts["rua_external"]), facts["rua_not_queried"]) == (10, 290)
    assert len(facts["rua"]) == 300


def test_only_first_mx_hosts_are_queried(results: Mapping[str, ScanResult]) -> None:
    check_results = {name: result_of(results["mx.test"], name) for name in ("mx", "dane", "rdns")}
    left_out = {
        name: check_result.facts["hosts_not_queried"]
        for name, check_result in check_results.items()
    }
    assert left_out == {"mx": 280, "dane": 290, "rdns": 290}
    assert all(check_result.definite for check_result in check_results.values())
    assert check_results["mx"].verdict is Verdict.OK


def test_alias_loop_is_undetermined_and_not_missing(
    results: Mapping[str, ScanResult],
) -> None:
    check_result = result_of(results["alias.test"], "dmarc")
    assert (check_result.verdict, check_result.findings) == (Verdict.UNDETERMINED, ())
    assert check_result.reason == "_dmarc.alias.test TXT: servfail"


def test_large_txt_set_is_read_over_tcp(results: Mapping[str, ScanResult]) -> None:
    check_result = result_of(results["bulk.test"], "spf")
    assert (check_result.verdict, check_result.facts["record_count"]) == (Verdict.OK, 1)


def test_private_addresses_are_named_in_findings(results: Mapping[str, ScanResult]) -> None:
    check_result = result_of(results["inner.test"], "mx")
    named = {
        address for finding in check_result.findings for address in finding.evidence["addresses"]
    }
    assert named == {*INNER, "::1"}


def test_silent_domain_does_not_affect_others(tmp_path: Path) -> None:
    good = [f"good{number}.test" for number in range(6)]
    zones = {apex: [txt("@", "v=spf1 -all")] for apex in (*good, "tarpit.test", "deaf.test")}
    behavior = Behavior(faults=dict.fromkeys(("tarpit.test", "ns.deaf.test"), Failure.TIMEOUT))
    results = scan_zones(tmp_path, zones, behavior, query_seconds=3)
    for apex in good:
        assert all(check_result.definite for check_result in results[apex].check_results), apex
    for check_result in results["tarpit.test"].check_results:
        assert (check_result.verdict, check_result.definite) == (Verdict.UNDETERMINED, False), (
            check_result.check
        )
        assert "timeout" in str(check_result.reason)
    silent = result_of(results["deaf.test"], "dns")
    assert not silent.definite
    assert not codes(silent) & {"dns.delegation_lame", "dns.ns_takeover_risk"}
    assert result_of(results["deaf.test"], "spf").definite
    assert all(scan_result.query_count <= BUDGET for scan_result in results.values())


@pytest.mark.parametrize(
    "text",
    [
        "v=spf1 " + "ip4:198.51.100.1 " * 5_900 + "-all",
        "v=spf1 " + " ".join(f"ip4:11.{n // 250}.{n % 250}.0/{9 + n % 24}" for n in range(5_500)),
        "v=spf1 " + " ".join(f"include:i{n}.huge.test" for n in range(4_500)),
        "v=spf1 " + "f:/ " * 25_000,
        "v=spf1 " + " ".join(f"nosuch{n}" for n in range(9_000)),
        "v=spf1 exists:" + "%{i}." * 19_000 + "huge.test",
    ],
    ids=["equal networks", "nested networks", "includes", "junk", "unknown terms", "macros"],
)
async def test_record_of_100000_characters_has_few_findings(
    text: str, caplog: pytest.LogCaptureFixture
) -> None:
    [spf] = [check for check in CHECKS if check.name == "spf"]
    zone = Zone({"huge.test": [text]}, budget=BUDGET)
    with caplog.at_level(logging.ERROR):
        check_result = await run_check(spf, Subject(DomainName("huge.test")), zone)
    assert check_result.definite
    assert 0 < len(check_result.findings) <= 100
    assert caplog.records == []


async def test_record_with_thousands_of_invalid_addresses_has_few_findings() -> None:
    [dmarc] = [check for check in CHECKS if check.name == "dmarc"]
    text = "v=DMARC1; p=reject; rua=" + ",".join(f"r{n}@huge.test" for n in range(5_000))
    zone = Zone({"_dmarc.huge.test": [text]})
    check_result = await run_check(dmarc, Subject(DomainName("huge.test")), zone)
    assert check_result.definite
    assert "dmarc.rua_invalid_uri" in codes(check_result)
    assert len(check_result.findings) <= 40
