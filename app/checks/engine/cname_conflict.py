"""CNAME records at names that have other records too (RFC 1034 §3.6.2)."""

from app.checks.engine.types import Finding, FindingType, Severity
from app.ports.dns import Resolver


def finding_type(check: str, record: str, *, reader: str, severity: Severity) -> FindingType:
    """The type of finding about a name with the records of a protocol and a CNAME record.

    record  the record as people call it, such as "DMARC"
    reader  who looks the record up: ``receivers`` or ``senders``
    """
    return FindingType(
        code=f"{check}.cname_conflict",
        severity=severity,
        summary=f"{record}: CNAME next to other records, so {reader} may not find the record",
        observed="{subject} has a CNAME record to {cname}, and the {type:text} record {records}.",
        why=f"Resolvers return one record or the other, so some {reader} do not find the {record} "
        "record.",
        remediation="Delete the record that you do not use.",
        note="A name with a CNAME record must not have other records.",
        reference="RFC 1034 §3.6.2",
    )


async def findings(
    kind: FindingType, name: str, dns: Resolver, *rdtypes: str
) -> tuple[Finding, ...]:
    """A finding if the name has a CNAME record next to records of one of the types.

    Such records were not reached by the CNAME record: resolvers return one or the other, depending
    on what they have in their cache.

    rdtypes  TXT if there are none
    """
    for rdtype in rdtypes or ("TXT",):
        answer = await dns.resolve(name, rdtype)
        if answer.aliases:
            return ()
        if answer.rdatas and (targets := await dns.hosts(name, "CNAME")):
            return (
                kind.at(
                    name, type=rdtype, records=list(map(str, answer.rdatas)), cname=list(targets)
                ),
            )
    return ()
