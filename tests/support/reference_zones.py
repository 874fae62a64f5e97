"""The zones of tests/data/zones, with the policies that their web servers serve."""

from collections.abc import Mapping
from typing import Any

import yaml

from app.checks.engine.types import Subject
from app.checks.transport.mta_sts import PATH
from app.ports.http import Page
from app.protocols.names import DomainName
from tests.support.paths import DATA
from tests.support.zones import SERVFAIL, Zone, read_master_files

FOLDER = DATA / "zones"
POLICIES = FOLDER / "policies"
EXPECTED: Mapping[str, Any] = {
    entry["domain"]: entry
    for entry in yaml.safe_load((FOLDER / "expected.yaml").read_text())["domains"]
}
SIGNED = frozenset({".", "test", "example", "signed.test"})


def subject(domain: str) -> Subject:
    """Return the domain with the selectors that its owner names."""
    selectors = tuple(EXPECTED[domain].get("dkim_selectors", ()))
    return Subject(DomainName(domain), dkim_selectors=selectors)


def records() -> Mapping[Any, Any]:
    """Return the records of all zones."""
    by_name = read_master_files(*sorted(FOLDER.glob("*.zone")))
    # A delegation is in both zones.
    whole: dict[Any, Any] = {key: tuple(dict.fromkeys(values)) for key, values in by_name.items()}
    return whole | {"down.test": SERVFAIL, "*.down.test": SERVFAIL}


def pages() -> Mapping[tuple[str, str], Page]:
    """Return the MTA-STS policies by host and path."""
    bodies = {(f"mta-sts.{path.stem}", PATH): path.read_bytes() for path in POLICIES.glob("*.txt")}
    return {
        (host, path): Page(
            url=f"https://{host}{path}", status=200, content_type="text/plain", body=body
        )
        for (host, path), body in bodies.items()
    }


def zone(domain: str, data: Mapping[Any, Any], files: Mapping[tuple[str, str], Page]) -> Zone:
    """Return the network that the checks of this domain see."""
    return Zone(data, files, authenticated=domain in SIGNED)
