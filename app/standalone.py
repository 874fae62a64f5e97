"""All checks of a domain without a service: no database, no account, no earlier scans.

The package ``mailwatch-checks`` (``clients/checks``) is a copy of this module and of all modules
that it imports.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app import server_address, wall_clock
from app.analysis.scan import score as scoring
from app.checks.engine import stored_results
from app.checks.engine.observation import observation
from app.checks.engine.runner import ScanResult, run_checks
from app.checks.engine.types import CheckResult, Finding, Subject, Usage
from app.network.http import special_addresses
from app.network.session import LiveNetwork
from app.ports.network import SessionFactory
from app.protocols import names

SCAN_SECONDS = 60.0
MAX_PORT = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class StandaloneSettings:
    """The settings of the network, with the defaults of a service."""

    base_url: str = "http://localhost"
    check_authoritative_servers: bool = True
    dns_nameservers: Sequence[tuple[str, int]] = ()
    dns_query_seconds: float = 2.0
    egress_allow_cidrs: Sequence[special_addresses.Network] = ()
    egress_connect_to: Sequence[tuple[str, str, int]] = ()
    egress_proxy: str | None = None
    scan_outstanding_queries: int = 480
    scan_query_budget: int = 120


def check(
    domain: str,
    *,
    usage: str = Usage.BOTH,
    dkim_selectors: Sequence[str] = (),
    nameservers: Sequence[str] = (),
) -> dict[str, Any]:
    """Return the results of all checks, with the field names that scans have in the API.

    nameservers  the resolvers to query, ``address[:port]``; those of the computer by default
    returns      ``domainName``, ``score`` and ``checks``; ``docsUrl`` of findings is empty, because
                 a service has that documentation
    raises       ValueError if the name is not one of a domain, or an argument is not valid
    """
    subject = Subject(
        domain=names.parse(domain, allow_special_use=True),
        usage=Usage(usage),
        dkim_selectors=tuple(dkim_selectors),
        now=wall_clock.now(),
    )
    settings = StandaloneSettings(dns_nameservers=tuple(map(_nameserver, nameservers)))

    async def main(new_session: SessionFactory) -> ScanResult:
        results = await run_checks({0: subject}, new_session, concurrency=1, seconds=SCAN_SECONDS)
        return results[0]

    return as_json(subject, LiveNetwork(settings).run(main).check_results)


def as_json(subject: Subject, results: Sequence[CheckResult]) -> dict[str, Any]:
    """Return the results as ``check`` does; the score only counts definite results."""
    stored = {result.check: stored_results.as_json(result) for result in results}
    definite = {name: check for name, check in stored.items() if check["definite"]}
    score = scoring.score(definite, subject.usage)
    return {
        "domainName": subject.domain,
        "score": {"value": score.value, "grade": score.grade, "version": score.version},
        "checks": [
            {**stored[result.check], "findings": list(map(_finding, result.findings))}
            for result in results
        ],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        **stored_results.finding_as_json(finding),
        "observed": observation(finding.kind.observed, finding.subject, finding.evidence),
        "docsUrl": "",
    }


def _nameserver(text: str) -> tuple[str, int]:
    server = server_address.read(text.strip(), 53)
    if server is None or not 1 <= server[1] <= MAX_PORT:
        message = f"name servers are written like 192.0.2.1:53 or [2001:db8::1]:53, not '{text}'"
        raise ValueError(message)
    return server
