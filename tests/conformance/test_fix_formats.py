"""The formats of every fix in the zones of the demo publish exactly what the fix says."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app.analysis.scan import fix_formats
from app.analysis.scan.fix_formats import FormattedFix
from app.checks.engine import stored_results
from app.checks.engine.types import Fix, Subject
from app.protocols.names import DomainName
from app.protocols.zone_files import ZoneRecord, master_files, octodns
from demo.samples import ZONES
from tests.support import fixed_zones
from tests.support.zones import Zone, read_master_files

DOMAINS = [path.stem for path in sorted(ZONES.glob("*.*.zone"))]


@pytest.fixture(scope="module")
def records() -> Mapping[Any, Any]:
    return read_master_files(*sorted(ZONES.glob("*.zone")))


async def fixes(domain: str, records: Mapping[Any, Any]) -> Sequence[FormattedFix]:
    subject = Subject(DomainName(domain), dkim_selectors=("s1", "k1", "s2026"))
    scan = await fixed_zones.scan(subject, Zone(records))
    results = {result.check: stored_results.as_json(result) for result in scan.check_results}
    definite = {check: result for check, result in results.items() if result["definite"]}
    return fix_formats.of_results(domain, definite)


def texts(parsed: Sequence[ZoneRecord]) -> list[str]:
    """The values as answers have them, sorted; host names without a final dot."""
    return sorted(" ".join(record.fields) for record in parsed)


def values(rdtype: str, records: Sequence[Any]) -> list[str]:
    """The values of the records of a zone, in the same form."""
    return sorted(str(value).removesuffix(".") if rdtype != "TXT" else value for value in records)


@pytest.mark.parametrize("domain", DOMAINS)
async def test_formats_publish_what_the_fix_says(domain: str, records: Mapping[Any, Any]) -> None:
    for item in await fixes(domain, records):
        fix, formats = Fix(**item.fix), item.formats
        key = (fix.name, fix.type)
        after = fixed_zones.published(records, fix).get(key, ())
        if fix.type == "TXT" and not after:
            after = fixed_zones.published(records, fix).get(fix.name, ())
        zone = domain if fix.name.endswith(domain) else fix.name
        assert formats.zone_file is not None
        assert formats.nsupdate is not None
        assert formats.terraform_cloudflare is not None
        added = fix.after.split("\n") if fix.after and fix.type != "TXT" else [fix.after or ""]
        if fix.after is not None:
            assert texts(master_files.parse(formats.zone_file, zone)) == values(fix.type, added)
        if formats.octodns is not None and after and fix.name.endswith(domain):
            assert texts(octodns.parse(formats.octodns, domain)) == values(fix.type, after)
            assert formats.terraform_route53 is not None
            assert formats.terraform_route53.count('\n    "') == len(after)


async def test_there_are_fixes_to_format(records: Mapping[Any, Any]) -> None:
    counts = {domain: len(await fixes(domain, records)) for domain in DOMAINS}
    assert sum(counts.values()) > 20
    whole = [
        item.formats.octodns is not None
        for domain in DOMAINS
        for item in await fixes(domain, records)
    ]
    assert sum(whole) > len(whole) / 2


def test_other_records_that_are_not_known_are_never_left_out() -> None:
    fix = Fix.publish_txt("_dmarc.acme.test", "v=DMARC1; p=none", "why").as_json()
    for published in (
        [],
        [{"name": "_dmarc.acme.test", "type": "TXT", "rcode": "servfail", "values": []}],
        [
            {
                "name": "_dmarc.acme.test",
                "type": "TXT",
                "rcode": "NOERROR",
                "values": ["x… [9 more characters; sha256 0123456789abcdef]"],
            }
        ],
    ):
        finding = {"code": "dmarc.missing", "subject": "_dmarc.acme.test", "fix": fix}
        result = {"check": "dmarc", "findings": [finding], "records": published}
        [item] = fix_formats.of_results("acme.test", {"dmarc": result})
        assert item.formats.octodns is None
        assert item.formats.terraform_route53 is None
        assert item.formats.zone_file is not None
