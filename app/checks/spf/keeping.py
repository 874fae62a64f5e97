"""Whether a fix keeps every sender that the owner's SPF record allows."""

from collections.abc import Iterable, Sequence
from typing import Any

from app.checks.engine.draft_records import DraftResolver
from app.checks.engine.types import Fix, Subject, Usage
from app.checks.spf import tree as spf_tree
from app.checks.spf.evaluate import Result, evaluate
from app.ports.network import NetworkSession
from app.protocols import spf
from app.protocols.spf import Directive

MAX_SAMPLES = 200  # addresses that are evaluated for one fix


async def keeps(subject: Subject, fix: Fix, before: NetworkSession, after: NetworkSession) -> bool:
    """Whether every address that passed still passes once the fix is published.

    Addresses are sampled from the terms that the fix removes or moves: the first and the last one
    of each network. A term whose senders depend on the message cannot be sampled, so that a fix
    that removes one is not kept. A domain that sends no mail loses no sender.
    """
    if subject.usage in (Usage.PARKED, Usage.RECEIVES):
        return True
    new = [text for text in await after.txt(fix.name) if spf.is_record(text)]
    old = [text for text in await before.txt(fix.name) if spf.is_record(text)]
    if len(new) != 1 or (any(map(_allows_anyone, old)) and not _allows_anyone(new[0])):
        return False
    for text in old:
        samples = await _samples(fix.name, text, new[0], before)
        if samples is None or not await _all_pass(fix.name, text, samples, before, after):
            return False
    return True


def _allows_anyone(text: str) -> bool:
    try:
        record = spf.parse_record(text)
    except spf.BadRecord:
        return False
    return record.redirect is not None or any(
        term.mechanism != "all" and term.qualifier is spf.Qualifier.PASS
        for term in record.effective
    )


async def _all_pass(
    name: str, text: str, samples: Iterable[str], before: NetworkSession, after: NetworkSession
) -> bool:
    """Whether each address that passes with the old record alone passes after the fix."""
    alone = DraftResolver(before, {name: [text]})
    sender: dict[str, Any] = {"mail_from": f"postmaster@{name}", "helo": name}
    for ip in samples:
        if (await evaluate(alone, ip=ip, **sender)).result is not Result.PASS:
            continue
        if (await evaluate(after, ip=ip, **sender)).result is not Result.PASS:
            return False
    return True


async def _samples(name: str, old: str, new: str, dns: NetworkSession) -> list[str] | None:
    """Addresses of the terms whose position in the record changes; None if they are not known."""
    before, after = spf.words(old), spf.words(new)
    unchanged = [word for word in before if word in after]
    is_in_order = unchanged == [word for word in after if word in before]
    changed = [word for word in before if word not in after] if is_in_order else before
    addresses: dict[str, None] = {}
    for word in changed:
        term = spf.parse_term(word)
        if isinstance(term, Directive) and term.mechanism != "all":
            matches = await _addresses(name, term, dns)
        elif isinstance(term, spf.Modifier) and term.name == "redirect" and term.target:
            target = term.target.name_at(name)
            matches = None if target is None else await _below(target, dns)
        else:
            continue
        if matches is None:
            return None
        addresses |= dict.fromkeys(matches)
    return list(addresses)[:MAX_SAMPLES]


async def _addresses(name: str, term: Directive, dns: NetworkSession) -> list[str] | None:
    """Addresses that the term matches; None if they depend on the message."""
    if term.network is not None:
        return _ends(term.network)
    if term.mechanism in ("ptr", "exists"):
        return None
    target = term.target.name_at(name) if term.target else name
    if target is None:
        return None
    if term.mechanism == "include":
        return await _below(target, dns)
    hosts = [mx.host for mx in await dns.mx(target)] if term.mechanism == "mx" else [target]
    return [
        str(address)
        for host in hosts[: spf.MAX_NAMES]
        for rdtype in ("A", "AAAA")
        for address in (await dns.resolve(host, rdtype)).rdatas
    ]


async def _below(target: str, dns: NetworkSession) -> list[str] | None:
    """Addresses that the records at and below the target allow."""
    result: list[str] = []
    for source in spf_tree.passing(await spf_tree.walk(dns, target)):
        terms: Sequence[Directive] = source.record.effective if source.record else ()
        for term in terms:
            if term.mechanism in ("all", "include"):
                continue
            addresses = await _addresses(source.name, term, dns)
            if addresses is None:
                return None
            result += addresses
    return result


def _ends(network: spf.Network) -> list[str]:
    return [str(network[0]), str(network[-1])]
