"""Root causes: problems that explain what the other checks of a domain see."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from app.checks.engine.types import Severity

CHECKS = ("dns", "mx")

Facts = Mapping[str, Any]


class FindingKey(NamedTuple):
    """The parts of a finding that decide whether it is a root cause."""

    code: str
    subject: str
    severity: Severity


Known = tuple[Facts, Iterable[FindingKey]]
"""The facts and findings of a check; the findings are read at most once."""


class Kind(StrEnum):
    """The kinds of root causes; each explains more than the next one."""

    DOMAIN_NOT_FOUND = "domain_not_found"
    ZONE_LAME = "zone_lame"
    MX_UNUSABLE = "mx_unusable"


@dataclass(frozen=True, slots=True)
class RootCause:
    """A problem that other findings only repeat.

    check       the check that finds it
    codes       codes of the findings that report it
    reason      completes the sentence "Not evaluated because …"
    """

    kind: Kind
    check: str
    codes: frozenset[str]
    reason: str


_DOMAIN_NOT_FOUND = RootCause(
    kind=Kind.DOMAIN_NOT_FOUND,
    check="dns",
    codes=frozenset(("dns.domain_not_found",)),
    reason="the domain does not exist",
)
_ZONE_LAME = RootCause(
    kind=Kind.ZONE_LAME,
    check="dns",
    codes=frozenset(
        (
            *("dns.delegation_lame", "dns.ns_takeover_risk", "dns.ns_not_authoritative"),
            "dns.zone_lame",
        ),
    ),
    reason="no name server of the domain can answer",
)
_MX_UNUSABLE = RootCause(
    kind=Kind.MX_UNUSABLE,
    check="mx",
    codes=frozenset(
        (
            *("mx.missing", "mx.host_no_address", "mx.points_to_ip", "mx.host_not_public"),
            "mx.null_mx_unexpected",
        ),
    ),
    reason="the domain has no mail server that can be reached",
)


def of(results: Mapping[str, Known]) -> RootCause | None:
    """Return the root cause of what a scan found; None without one.

    results  the facts and findings of the checks ``dns`` and ``mx``, where they are definite
    """
    dns, _ = results.get("dns", ({}, ()))
    if dns.get("exists") is False:
        return _DOMAIN_NOT_FOUND
    servers = dns.get("ns", ())
    failing = {*dns.get("ns_unresolvable", ()), *dns.get("ns_not_authoritative", ())}
    if servers and failing.issuperset(servers):
        return _ZONE_LAME
    mx, findings = results.get("mx", ({}, ()))
    return _MX_UNUSABLE if _is_mx_unusable(mx, findings) else None


def of_stored(results: Mapping[str, Mapping[str, Any]]) -> RootCause | None:
    """Return the root cause in the last definite results of the checks, as stored."""
    return of(stored(results))


def stored(results: Mapping[str, Mapping[str, Any]]) -> dict[str, Known]:
    """Return the facts and findings of ``CHECKS`` in stored results, as ``of`` takes them."""
    return {
        check: (result.get("facts", {}), _keys(result["findings"]))
        for check in CHECKS
        if (result := results.get(check)) is not None
    }


def _keys(findings: Iterable[Mapping[str, Any]]) -> Iterator[FindingKey]:
    for finding in findings:
        yield FindingKey(finding["code"], finding.get("subject", ""), Severity(finding["severity"]))


def _is_mx_unusable(facts: Facts, findings: Iterable[FindingKey]) -> bool:
    """Whether no MX host of a domain that should receive email can be reached."""
    hosts = facts.get("hosts", ())
    unusable = {
        finding.subject
        for finding in findings
        if finding.code in _MX_UNUSABLE.codes
        # A host that also has a public address can be reached.
        and (finding.code != "mx.host_not_public" or finding.severity is Severity.HIGH)
    }
    return bool(unusable) and unusable.issuperset(hosts)
