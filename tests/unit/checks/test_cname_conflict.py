"""A CNAME record next to other records is a finding of every check that reads them."""

from typing import Any

import pytest

from app.checks import CHECKS
from app.checks.engine.execution import run_check
from app.checks.engine.types import CheckResult, Subject, Verdict
from app.ports.dns import Answer
from app.ports.http import Page
from app.protocols.names import DomainName
from tests.support.dkim_keys import rsa
from tests.support.zones import Zone

DOMAIN = "acme.test"
POLICY = b"version: STSv1\nmode: enforce\nmx: mx.acme.test\nmax_age: 604800\n"
RECORDS: dict[Any, Any] = {
    (DOMAIN, "MX"): ["10 mx.acme.test"],
    ("mx.acme.test", "A"): ["192.0.2.10"],
    ("mta-sts.acme.test", "A"): ["192.0.2.20"],
    DOMAIN: ["v=spf1 mx -all"],
    "_dmarc.acme.test": ["v=DMARC1; p=reject; rua=mailto:a@acme.test"],
    "_mta-sts.acme.test": ["v=STSv1; id=1"],
    "_smtp._tls.acme.test": ["v=TLSRPTv1; rua=mailto:a@acme.test"],
    "default._bimi.acme.test": ["v=BIMI1; l=;"],
    "s1._domainkey.acme.test": [f"v=DKIM1; p={rsa(2048)}"],
}
NAMES = [
    ("spf", DOMAIN),
    ("dmarc", "_dmarc.acme.test"),
    ("mta_sts", "_mta-sts.acme.test"),
    ("mta_sts", "mta-sts.acme.test"),
    ("tls_rpt", "_smtp._tls.acme.test"),
    ("bimi", "default._bimi.acme.test"),
    ("dkim", "s1._domainkey.acme.test"),
]


class TwoFacedZone(Zone):
    """A zone with a CNAME record next to the other records of one name."""

    def __init__(self, name: str) -> None:
        url = "https://mta-sts.acme.test/.well-known/mta-sts.txt"
        page = Page(url=url, status=200, content_type="text/plain", body=POLICY)
        super().__init__(RECORDS, {("mta-sts.acme.test", "/.well-known/mta-sts.txt"): page})
        self._name = name

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if (name, rdtype) == (self._name, "CNAME"):
            return Answer(name=name, rdtype=rdtype, rcode="NOERROR", rdatas=("other.vendor.test",))
        return await super().resolve(name, rdtype, checking_disabled=checking_disabled)


async def result(check: str, zone: Zone) -> CheckResult:
    """The result of one check of the domain."""
    subject = Subject(DomainName(DOMAIN), dkim_selectors=("s1",))
    [selected] = [candidate for candidate in CHECKS if candidate.name == check]
    return await run_check(selected, subject, zone)


@pytest.mark.parametrize(("check", "name"), NAMES)
async def test_cname_next_to_the_records_is_found_once(check: str, name: str) -> None:
    found = await result(check, TwoFacedZone(name))
    [finding] = [item for item in found.findings if item.kind.code == f"{check}.cname_conflict"]
    assert finding.subject == name
    assert finding.evidence["cname"] == ["other.vendor.test"]
    assert finding.fix is None
    assert found.verdict in (Verdict.WARN, Verdict.FAIL)


@pytest.mark.parametrize("check", sorted({check for check, _ in NAMES}))
async def test_no_finding_without_a_cname(check: str) -> None:
    found = await result(check, Zone(RECORDS))
    assert [item for item in found.findings if item.kind.code.endswith("cname_conflict")] == []


@pytest.mark.parametrize(("check", "name"), NAMES[1:])
async def test_records_behind_an_alias_are_no_conflict(check: str, name: str) -> None:
    data = {key: value for key, value in RECORDS.items() if name not in (key, key[0])}
    moved = RECORDS.get(name) or RECORDS[name, "A"]
    rdtype = "TXT" if name in RECORDS else "A"
    zone = Zone(
        {**data, ("there.vendor.test", rdtype): moved, (name, "CNAME"): ["there.vendor.test"]}
    )
    found = await result(check, zone)
    assert [item for item in found.findings if item.kind.code.endswith("cname_conflict")] == []
