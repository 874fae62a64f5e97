"""The TLSA records that senders find for MX hosts, and which of them are usable (RFC 7672)."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.ports.dns import Answer, LookupFailed, Resolver, Tlsa, or_failure

PKIX = {0: 2, 1: 3}  # the usage that means the same without public CAs (RFC 7671 §5)
_DIGITS = {1: 64, 2: 128}  # hexadecimal digits of a SHA-256 and a SHA-512 digest

MAX_HOSTS = 10  # in order of preference: a domain may list hundreds


@dataclass(frozen=True, slots=True)
class Host:
    """The TLSA records of one MX host.

    owner    the name at which the TLSA records are published
    secure   both the records and the host's address are validated
    failure  how the TLSA lookup failed, if there is an answer only without validation
    """

    host: str
    owner: str
    records: tuple[Tlsa, ...]
    secure: bool
    failure: LookupFailed | None = None

    @property
    def usable(self) -> list[Tlsa]:
        """The records that senders use (RFC 7672 §3.1)."""
        return [tlsa for tlsa in self.records if tlsa.usage not in PKIX and not fault(tlsa)]


async def look_up(hosts: Sequence[str], dns: Resolver) -> list[Host | LookupFailed]:
    """The TLSA records of each MX host, or why they could not be queried, in the same order."""
    dns.prefetch(*((host, "A") for host in hosts), *((f"_25._tcp.{h}", "TLSA") for h in hosts))
    return [await or_failure(_host(host, dns)) for host in hosts]


async def _host(host: str, dns: Resolver) -> Host:
    """The TLSA records that a sender would find for the host (RFC 7672 §2.2.2, §2.2.3).

    The records of the canonical name go first. Where its zone is not signed but the alias is, only
    those of the initial name count.
    """
    address = await dns.resolve(host, "A")
    answer, failure = await _tlsa(f"_25._tcp.{host}", dns)
    is_secure = address.authenticated
    if address.aliases and is_secure:
        canonical = await _tlsa(f"_25._tcp.{address.aliases[-1]}", dns)
        if canonical[0].rdatas or canonical[1]:
            answer, failure = canonical
    elif address.aliases:
        is_secure = (await dns.resolve(host, "CNAME")).authenticated
    return Host(
        host=host,
        owner=answer.aliases[-1] if answer.aliases else answer.name,
        records=tuple(tlsa for tlsa in answer.rdatas if isinstance(tlsa, Tlsa)),
        secure=is_secure and answer.authenticated and failure is None,
        failure=failure,
    )


async def _tlsa(name: str, dns: Resolver) -> tuple[Answer, LookupFailed | None]:
    """The TLSA answer, and the failure if there is an answer only without validation."""
    try:
        return await dns.resolve(name, "TLSA"), None
    except LookupFailed as error:
        if error.reason != "servfail":
            raise
        return await dns.resolve(name, "TLSA", checking_disabled=True), error


def fault(tlsa: Tlsa) -> str | None:
    """Why the record is unusable for any certificate; None if it is not (RFC 6698 §2.1)."""
    if tlsa.usage > 3:
        return f"usage {tlsa.usage} is not assigned"
    if tlsa.selector > 1:
        return f"selector {tlsa.selector} is not assigned"
    if tlsa.matching > 2:
        return f"matching type {tlsa.matching} is not assigned"
    expected = _DIGITS.get(tlsa.matching)
    if not tlsa.data or (expected and len(tlsa.data) != expected):
        return f"{len(tlsa.data) // 2} octets is the wrong length for matching type {tlsa.matching}"
    return None
