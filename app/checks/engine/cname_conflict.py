"""A CNAME record at a name that has other records too (RFC 1034 §3.6.2)."""

from app.ports.dns import Resolver


async def has_cname_conflict(name: str, dns: Resolver) -> bool:
    """Whether the name has a CNAME record although its TXT records were not reached by one.

    Resolvers return one or the other, depending on what they have in their cache.
    """
    if (await dns.resolve(name, "TXT")).aliases:
        return False
    return bool((await dns.resolve(name, "CNAME")).rdatas)
