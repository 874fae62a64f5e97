"""Whether a certificate matches the published TLSA records, before a mail server uses it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from app.checks.transport.certificate_match import Chain, Match, first_match, is_match
from app.checks.transport.tlsa import MAX_HOSTS, Host, look_up
from app.ports.dns import LookupFailed, Resolver, Tlsa
from app.protocols.names import DomainName


@dataclass(frozen=True, slots=True)
class RecordEvaluation:
    """One TLSA record of a host.

    usable   whether senders use it
    matches  whether it matches the certificate; None if it is not usable, or the CA is not known
    """

    record: str
    usable: bool
    matches: bool | None


@dataclass(frozen=True, slots=True)
class HostEvaluation:
    """The TLSA records of one MX host, compared with the certificate.

    owner   the name of the records; None if they could not be looked up
    secure  whether DNSSEC protects the records; senders ignore them otherwise
    result  None if senders use no record of the host
    reason  why the result is undetermined
    breaks_delivery  whether senders would not deliver; None if undetermined
    """

    host: str
    owner: str | None
    secure: bool
    records: tuple[RecordEvaluation, ...]
    result: Match | None
    reason: str | None = None

    @property
    def breaks_delivery(self) -> bool | None:
        return None if self.result is Match.UNDETERMINED else self.result is Match.MISMATCH


async def evaluate(domain: DomainName, chain: Chain, dns: Resolver) -> Sequence[HostEvaluation]:
    """Return the evaluation of the first ten MX hosts, by preference.

    raises  LookupFailed if the MX records cannot be looked up
    source  RFC 7672 §2.2, §3.1
    """
    hosts = list(dict.fromkeys(mx.host for mx in await dns.mx(domain) if mx.host))[:MAX_HOSTS]
    results = await look_up(hosts, dns)
    return [_evaluated(name, result, chain) for name, result in zip(hosts, results, strict=True)]


def breaks_delivery(hosts: Iterable[HostEvaluation]) -> bool | None:
    """Whether senders would not deliver to one of the hosts; None if it cannot be determined."""
    results = {host.breaks_delivery for host in hosts}
    return True if True in results else None if None in results else False


def _evaluated(name: str, result: Host | LookupFailed, chain: Chain) -> HostEvaluation:
    failure = result if isinstance(result, LookupFailed) else result.failure
    if isinstance(result, LookupFailed) or failure:
        owner = None if isinstance(result, LookupFailed) else result.owner
        return HostEvaluation(
            host=name,
            owner=owner,
            secure=False,
            records=(),
            result=Match.UNDETERMINED,
            reason=str(failure),
        )
    match = first_match(result.usable, chain)[0] if result.secure and result.usable else None
    return HostEvaluation(
        host=name,
        owner=result.owner,
        secure=result.secure,
        records=tuple(_record(tlsa, result, chain) for tlsa in result.records),
        result=match,
        reason=_UNKNOWN_CA if match is Match.UNDETERMINED else None,
    )


_UNKNOWN_CA = "a record describes a CA (usage 2), and the CA's certificate was not sent"


def _record(tlsa: Tlsa, host: Host, chain: Chain) -> RecordEvaluation:
    usable = host.secure and tlsa in host.usable
    return RecordEvaluation(str(tlsa), usable, is_match(tlsa, chain) if usable else None)
