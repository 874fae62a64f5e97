"""The destinations of DMARC reports: whether they accept the reports and can receive them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from app.checks.dmarc import discovery
from app.checks.dmarc.source import Source
from app.checks.engine.types import Finding, FindingType, Fix, Severity, Verdict
from app.ports.dns import LookupFailed, Resolver, or_failure
from app.protocols import dmarc, names, tags
from app.protocols.names import DomainName
from app.protocols.uris import Uri

MAX_DESTINATIONS_CHECKED = (
    10  # hosts of report addresses: each costs queries, and a record may list hundreds
)
MAX_INVALID = 30  # findings for invalid addresses; each contains a whole record to publish
MAX_ADDRESSES_READ = 2  # addresses that a reporter must support (RFC 7489 §6.2)

RUA_MISSING = FindingType(
    code="dmarc.rua_missing",
    severity=Severity.MEDIUM,
    summary="DMARC reports go nowhere",
    observed="The record at {subject} is {record}. It has no valid tag `rua`.",
    why="You do not learn who sends as the domain, or which of your own mail fails.",
    remediation="Add `rua=mailto:…` with the address that should receive the reports.",
    reference="RFC 9989 §4.7",
)
RUA_INVALID = FindingType(
    code="dmarc.rua_invalid_uri",
    severity=Severity.HIGH,
    summary="DMARC: invalid reporting address (rua), so no reports are sent to it",
    observed="The tag `rua` at {name} has the address {item}: {reason:text}.",
    why="You do not get the reports that should go to this address.",
    remediation="Write the address as `mailto:name@host`.",
    note="Usually `mailto:` is missing.",
    reference="RFC 9989 §4.8",
    verdict=Verdict.WARN,
    is_syntax=True,
)
RUA_TOO_MANY = FindingType(
    code="dmarc.rua_too_many",
    severity=Severity.LOW,
    summary="DMARC: more than two reporting addresses, so some may get no reports",
    observed="The record at {subject} lists the addresses {uris}. Receivers must support two.",
    why="Reporters are only required to send to two addresses, so the others may get nothing.",
    remediation="List at most two addresses, the most important one first.",
    reference="RFC 7489 §6.2",
)
RUA_DUPLICATE = FindingType(
    code="dmarc.rua_duplicate",
    severity=Severity.LOW,
    summary="DMARC: reporting address listed twice",
    observed="The record at {subject} lists {uris} more than once.",
    why="Reporters may send each report twice, so that mail is counted twice.",
    remediation="List the address once.",
    reference="RFC 9989 §4.7",
)
SIZE_SUFFIX = FindingType(
    code="dmarc.size_suffix_obsolete",
    severity=Severity.INFO,
    summary="DMARC: size limit on a reporting address is obsolete and ignored",
    observed="The record at {subject} lists {uris}.",
    why="The suffix has no effect, so reports of any size are sent.",
    remediation="Remove the suffix, such as `!10m`.",
    reference="RFC 9989 §4.8",
)
UNAUTHORIZED = FindingType(
    code="dmarc.rua_external_unauthorized",
    severity=Severity.HIGH,
    summary="DMARC: external reporting address is not authorized, so reports are not sent",
    observed="The reporting address is {uri}. Its domain would have to allow this with a record at "
    "{missing}, which does not exist.",
    why="Reporters do not send reports to this address.",
    remediation="Ask the operator of the host to publish the record that the fix names, or "
    "remove the address.",
    note="A host outside the organization must publish that it accepts the reports, and it does "
    "not.",
    reference="RFC 9990 §4",
    verdict=Verdict.WARN,
)
NO_MAILBOX = FindingType(
    code="dmarc.rua_mailbox_no_mx",
    severity=Severity.MEDIUM,
    summary="DMARC: host of a reporting address accepts no email, so reports to it are lost",
    observed="The reporting address is {uri}, and {subject} has no mail server.",
    why="Reports to this address cannot be delivered.",
    remediation="Give the host an MX record, or use another address.",
    note="Info where another address receives the reports.",
    reference="RFC 5321 §5.1",
)
RUF_PRESENT = FindingType(
    code="dmarc.ruf_present_privacy",
    severity=Severity.INFO,
    summary="DMARC failure reports (ruf) may contain personal data, and few receivers send them",
    observed="The tag `ruf` of the record at {subject} has the address {uris}.",
    why="Failure reports can contain the addresses and the content of single messages, which "
    "data protection rules may cover.",
    remediation="No action is needed, or remove `ruf` if you do not use the reports.",
    reference="RFC 9991 §7",
)
FINDING_TYPES = (
    *(RUA_MISSING, RUA_INVALID, RUA_TOO_MANY, RUA_DUPLICATE, SIZE_SUFFIX, UNAUTHORIZED),
    *(NO_MAILBOX, RUF_PRESENT),
)


@dataclass(frozen=True, slots=True)
class Destinations:
    """The result of the checks of the report addresses.

    external     by host outside the organizational domain: whether it is authorized, or None if the
                 lookup failed
    not_queried  how many hosts beyond the first MAX_ASKED were not queried
    failures     the failed lookups about hosts
    """

    external: Mapping[str, bool | None]
    not_queried: int
    findings: tuple[Finding, ...]
    failures: tuple[LookupFailed, ...]


async def check_destinations(source: Source, dns: Resolver) -> Destinations:
    """Check the report addresses of the record; each of the first hosts is queried once.

    A host that cannot be queried only loses the findings about itself.
    """
    record = source.record
    all_hosts = {uri.host: uri for uri in (*record.rua, *record.ruf) if uri.host}
    all_hosts |= {uri.host: uri for uri in record.rua if uri.host}
    hosts = dict(islice(all_hosts.items(), MAX_DESTINATIONS_CHECKED))
    dns.prefetch(*(query for uri in hosts.values() for query in _priority_order(source, uri)))
    results = [await _of_host(source, uri, dns) for uri in hosts.values()]
    external: dict[str, bool | None] = {}
    findings = list(_of_text(source))
    reached = {  # as far as is known
        host
        for host, (is_authorized, takes_mail) in zip(hosts, results, strict=True)
        if is_authorized != "no" and takes_mail is not False
    }
    arrives = any(uri.host in reached for uri in record.rua)
    for host, (is_authorized, takes_mail) in zip(hosts, results, strict=True):
        if is_authorized != "inside":
            is_known = not isinstance(is_authorized, LookupFailed)
            external[host] = is_authorized == "yes" if is_known else None
        if is_authorized == "no":
            findings.append(_unauthorized(source, hosts[host]))
        if takes_mail is False and is_authorized in ("inside", "yes"):
            severity = Severity.INFO if arrives else None  # another address gets the reports
            findings.append(NO_MAILBOX.at(host, severity=severity, uri=str(hosts[host])))
    return Destinations(
        external=external,
        not_queried=len(all_hosts) - len(hosts),
        findings=tuple(findings),
        failures=tuple(
            part for parts in results for part in parts if isinstance(part, LookupFailed)
        ),
    )


async def _of_host(
    source: Source, uri: Uri, dns: Resolver
) -> tuple[str | LookupFailed, bool | LookupFailed]:
    """``inside``, ``yes`` or ``no``, and whether it takes mail; or why that is not known."""
    is_authorized = await or_failure(_is_authorized(source, uri, dns))
    return is_authorized, await or_failure(_takes_mail(uri, dns))


def _priority_order(source: Source, uri: Uri) -> Iterator[tuple[str, str]]:
    """The queries about a host that do not depend on another answer."""
    host = str(uri.host)
    if uri.scheme == "mailto":
        yield host, "MX"
    if host in (source.org_domain, source.record_at):
        return
    yield from ((f"_dmarc.{name}", "TXT") for name in names.walk(DomainName(host)))
    if not names.is_below(host, source.org_domain) and (
        name := dmarc.authorization_name(source.record_at, host)
    ):
        yield name, "TXT"


async def _is_authorized(source: Source, uri: Uri, dns: Resolver) -> str:
    """Whether reporters send to the host (RFC 9990 §4); ``inside`` needs no authorization.

    A host below the organizational domain can be another one's, if a record with ``psd=n`` says so.
    """
    host = uri.host
    if host is None:
        return "no"
    if host in (source.org_domain, source.record_at):
        return "inside"
    if (await discovery.walk(host, dns)).org_domain == source.org_domain:
        return "inside"
    name = dmarc.authorization_name(source.record_at, host)
    if name is None:
        return "no"
    tag = "rua" if uri in source.record.rua else "ruf"
    authorization = dmarc.authorization(await dns.txt(name), uri, tag)
    return "yes" if authorization.is_given and authorization.instead != () else "no"


async def _takes_mail(uri: Uri, dns: Resolver) -> bool:
    if uri.scheme != "mailto" or uri.host is None:
        return True
    if records := await dns.mx(uri.host):
        return any(mx.host for mx in records)
    dns.prefetch((uri.host, "A"), (uri.host, "AAAA"))
    addresses = [await dns.resolve(uri.host, "A"), await dns.resolve(uri.host, "AAAA")]
    return any(answer.rdatas for answer in addresses)


def _unauthorized(source: Source, uri: Uri) -> Finding:
    name = dmarc.authorization_name(source.record_at, str(uri.host))
    fix = None
    if name is not None:
        why = f"{uri.host} must publish this record to accept reports about {source.record_at}."
        fix = Fix.publish_txt(name, "v=DMARC1;", why)
    return UNAUTHORIZED.at(str(uri.host), uri=str(uri), missing=name, fix=fix)


def _unused(uri: Uri) -> str | None:
    """Why reporters send nothing to a valid URI; None if they use it."""
    if uri.scheme != "mailto":
        return "reporters only send reports by email, to mailto: addresses"
    if uri[len("mailto:") :].startswith("/"):
        return "the address begins with slashes: write mailto: and the address, without //"
    return None


def _of_text(source: Source) -> Iterator[Finding]:
    record, name = source.record, source.name
    unreadable = {
        problem.value: problem.reason for problem in record.problems if problem.name == "rua"
    }
    unreadable |= {str(uri): reason for uri in record.rua if (reason := _unused(uri))}
    has_usable = len(unreadable) < len({*unreadable, *record.rua})
    why = "Each address must be a URI such as mailto:reports@example.com."
    repaired = source.repaired(why) if unreadable else None  # one fix corrects all addresses
    for value, reason in islice(unreadable.items(), MAX_INVALID):
        severity = Severity.LOW if has_usable else None  # another address gets the reports
        yield RUA_INVALID.at(f"{name} {value}", reason=reason, severity=severity, fix=repaired)
    if not record.rua and not unreadable:
        address = f"mailto:dmarc-reports@{source.record_at}"
        why = "Add an address to learn who sends as the domain. The mailbox must exist."
        yield RUA_MISSING.at(name, record=source.text, fix=source.with_tag("rua", address, why))
    if repeated := tags.repeated(map(str, record.rua)):
        once = ",".join(dict.fromkeys(map(str, record.rua)))
        fix = source.rewritten(
            "rua", once, "Reporters may send each report twice. List each address once."
        )
        yield RUA_DUPLICATE.at(name, uris=list(repeated), fix=fix)
    if len(set(record.rua)) > MAX_ADDRESSES_READ:
        yield RUA_TOO_MANY.at(name, uris=list(map(str, record.rua)))
    if record.sized:
        yield SIZE_SUFFIX.at(name, uris=list(record.sized))
    if record.ruf:
        yield RUF_PRESENT.at(name, uris=list(map(str, record.ruf)))
