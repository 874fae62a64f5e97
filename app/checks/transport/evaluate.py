"""Whether a certificate matches the published TLSA records, before a mail server uses it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from app.checks.transport.certificate_match import (
    DANE_TA,
    Chain,
    Match,
    Reference,
    first_match,
    is_match,
)
from app.checks.transport.tlsa import MAX_HOSTS, Host, look_up
from app.ports.dns import LookupFailed, Resolver
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
    reason  why the result is undetermined, or why senders do not accept a record of a CA
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


async def evaluate(
    domain: DomainName, chain: Chain, dns: Resolver, now: datetime
) -> Sequence[HostEvaluation]:
    """Return the evaluation of the first ten MX hosts, by preference.

    now     the time at which the certificate is to be valid
    raises  LookupFailed if the MX records cannot be looked up
    source  RFC 7672 §2.2, §3.1
    """
    hosts = list(dict.fromkeys(mx.host for mx in await dns.mx(domain) if mx.host))[:MAX_HOSTS]
    results = await look_up(hosts, dns)
    return [
        _evaluated(result, chain, Reference((name, domain), now))
        for name, result in zip(hosts, results, strict=True)
    ]


def breaks_delivery(hosts: Iterable[HostEvaluation]) -> bool | None:
    """Whether senders would not deliver to one of the hosts; None if it cannot be determined."""
    results = {host.breaks_delivery for host in hosts}
    return True if True in results else None if None in results else False


def _evaluated(result: Host | LookupFailed, chain: Chain, reference: Reference) -> HostEvaluation:
    name = reference.names[0]
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
    usable = result.usable if result.secure else []
    match = first_match(usable, chain, reference)[0] if usable else None
    reason = None
    if match is Match.UNDETERMINED:
        reason = _UNKNOWN_CA
    elif match is Match.MISMATCH and any(tlsa.usage == DANE_TA for tlsa in usable):
        reason = reference.rejects(chain.leaf)
    return HostEvaluation(
        host=name,
        owner=result.owner,
        secure=result.secure,
        records=tuple(
            RecordEvaluation(
                record=str(tlsa),
                usable=tlsa in usable,
                matches=is_match(tlsa, chain, reference) if tlsa in usable else None,
            )
            for tlsa in result.records
        ),
        result=match,
        reason=reason,
    )


_UNKNOWN_CA = (
    "a record of usage 2 describes a CA and its certificate was not sent, or describes the "
    "certificate of the mail server itself, which not all senders accept"
)
