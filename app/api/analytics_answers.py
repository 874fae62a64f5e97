"""How what the services found becomes the things of the analytics routes."""

from collections import Counter
from collections.abc import Sequence, Set
from typing import Any

from app.api import answers
from app.api.analytics_links import Links
from app.insight import behind, existence, unused
from app.insight.periods import at
from app.insight.readiness import Blocker, Published, Step
from app.insight.sources import Source
from app.protocols.dmarc import Record
from app.services.mail_sources import Sending
from app.services.policy_change import Simulated

MOST = 10  # addresses, signers and the like of one source that are named
MANY = 100


def source(found: Source, sending: Sending, links: Links, alone: Set[str]) -> dict[str, Any]:
    """A source, with the most of what it sent; ``alone``: what ``behind.unshared`` has."""
    sender = found.service.sender
    return {
        "key": found.key,
        "name": found.service.name,
        "service": {"category": sender.category, "setup": sender.setup} if sender else None,
        "confidence": found.service.confidence,
        "evidence": found.service.evidence,
        "class": found.kind,
        "reason": found.reason,
        "reasons": [
            {"kind": judged.kind, "reason": judged.reason, "messages": count}
            for judged, count in found.reasons.most_common()
        ],
        "decision": _decision(found),
        "messages": found.messages,
        "passed": found.passed,
        "dkimAligned": found.dkim_aligned,
        "spfAligned": found.spf_aligned,
        "passRate": found.passed / found.messages if found.messages else None,
        "firstSeenAt": answers.time(at(found.first_hour)),
        "lastSeenAt": answers.time(at(found.last_hour)),
        "addressCount": len(found.addresses),
        "moreAddresses": found.has_more_addresses,
        "addresses": [
            {
                **_address(address, count, sending, links),
                "recordsExact": address in alone,
            }
            for address, count in found.addresses.most_common(MOST)
        ],
        "records": links.records(**_addresses(found)),
        "recordsExact": behind.is_exact(found, alone),
        **_authenticated(found, sending),
        "headerFrom": _names(found.header_from, MOST),
        "countries": dict(found.countries.most_common(MOST)),
    }


def _authenticated(found: Source, sending: Sending) -> dict[str, Any]:
    """What its mail was signed with, and what SPF was asked for."""
    signers, envelopes = Counter[tuple[str, str, str]](), Counter[tuple[str, str]]()
    for number, messages in found.identities.items():
        identity = sending.identities[number]
        for signer in identity.dkim_results:
            signers[signer] += messages
        for domain, _, result in identity.spf_results:
            envelopes[domain, result] += messages
    return {
        "signers": [
            {"domain": name, "selector": selector, "result": result, "messages": count}
            for (name, selector, result), count in signers.most_common(MOST)
        ],
        "envelopes": [
            {"domain": name, "result": result, "messages": count}
            for (name, result), count in envelopes.most_common(MOST)
        ],
    }


def _decision(found: Source) -> dict[str, Any] | None:
    state = found.state
    return {"state": state.state, "note": state.note, "actor": state.actor} if state else None


def _address(address: str, count: int, sending: Sending, links: Links) -> dict[str, Any]:
    host = sending.context.hosts.get(address)
    return {
        "address": address,
        "messages": count,
        "reverseName": host.name if host else None,
        "asn": host.asn if host else None,
        "country": host.country if host else None,
        "records": links.records(sourceIp=address),
    }


def _names(counts: Counter[str], most: int) -> list[dict[str, Any]]:
    return [{"name": name, "messages": count} for name, count in counts.most_common(most)]


def uses(sending: Sending) -> dict[str, Any]:
    """What is published and not used, the selectors, and the sub-domains."""
    known = sending.known.get("dkim", {}).get("facts", {}).get("selectors", {})
    domain = sending.domain.name
    selectors = [
        {
            "selector": found.selector,
            "messages": found.messages,
            "failed": found.failed,
            "published": found.is_published,
        }
        for found in unused.selectors(domain, sending.identities, sending.sources, known)
    ]
    terms = unused.terms(sending.context.spf, sending.sources, sending.identities)
    return {
        "unused": {
            "spfTerms": [
                {"term": use.term, "certain": use.is_certain} for use in terms if not use.messages
            ],
            "selectors": [one for one in selectors if not one["messages"] and one["published"]],
        },
        "selectors": selectors[:MANY],
        "subdomains": [
            {
                "name": found.name,
                "messages": found.messages,
                "passed": found.passed,
                "firstSeenAt": answers.time(at(found.first_hour)),
            }
            for found in unused.subdomains(domain, sending.sources, sending.identities)[:MANY]
        ],
    }


def step(
    found: Step, published: Published | None, sending: Sending, links: Links
) -> dict[str, Any]:
    """A step, with what stands in its way."""
    below = unused.subdomains(sending.domain.name, sending.sources, sending.identities)
    record = published.record if published else Record()
    change = None
    if published and found.record:
        back = found.rollback or f"Remove the record at {published.name} again."
        change = {
            "name": published.name,
            "type": "TXT",
            "before": found.rollback,
            "after": found.record,
            "rollback": back,
        }
    return {
        "tag": found.tag,
        "current": found.current,
        "wanted": found.wanted,
        "ready": found.is_ready,
        "blockers": [_blocker(blocker, links) for blocker in found.blockers],
        "lost": found.lost,
        "forged": found.forged,
        "unknowns": _unknowns(existence.unknowns(found.tag, record, below)),
        "change": change,
    }


def _blocker(found: Blocker, links: Links) -> dict[str, Any]:
    return {
        "source": found.source.key,
        "name": found.source.service.name,
        "class": found.source.kind,
        "messages": found.messages,
        "share": found.share,
        "why": found.why,
        "whatToDo": found.what_to_do,
        "records": links.records(**_addresses(found.source), result="fail"),
    }


def _addresses(found: Source) -> dict[str, str]:
    """The filter for the addresses that sent the most."""
    most = behind.addresses(found)
    return {"sourceIp": ",".join(most)} if most else {}


def simulation(found: Simulated, links: Links) -> dict[str, Any]:
    """What would have happened."""
    replay, proposal = found.replay, found.proposal
    return {
        "policy": {
            "p": proposal.p,
            "sp": proposal.sp,
            "np": proposal.np,
            "adkim": proposal.modes.adkim,
            "aspf": proposal.modes.aspf,
        },
        "removeSpf": sorted(proposal.remove_spf),
        "addDkim": sorted(proposal.add_dkim),
        "messages": replay.messages,
        "passed": replay.passed,
        "dispositions": dict(replay.dispositions),
        "hit": replay.hit,
        "newlyHit": replay.newly_hit,
        "spared": replay.spared,
        "sources": _hit(found),
        "sourceCount": len(replay.sources),
        "addressCount": len(replay.addresses),
        "headerFrom": _names(replay.header_from, MANY),
        "reporters": [
            {"reporter": name, "messages": count}
            for name, count in found.reporters.most_common(MANY)
        ],
        "reportersAtMost": found.reporters_at_most,
        "confidence": found.confidence,
        "unknowns": _unknowns(found.unknowns),
        "records": links.records(),
    }


def _unknowns(found: Sequence[tuple[str, int | None]]) -> list[dict[str, Any]]:
    return [{"what": what, "messages": count} for what, count in found]


def _hit(found: Simulated) -> list[dict[str, Any]]:
    by_key = {source.key: source for source in found.sending.sources}
    return [
        {
            "source": key,
            "name": by_key[key].service.name,
            "class": by_key[key].kind,
            "messages": count,
        }
        for key, count in found.replay.sources.most_common(MANY)
    ]
