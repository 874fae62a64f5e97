"""How what the services found becomes the things of the analytics routes."""

from collections.abc import Sequence
from typing import Any

from app.analysis.mail import record_query, subdomains, unused
from app.analysis.mail.periods import at
from app.analysis.mail.record_query import FlowIndex, RecordQuery, RecordQueryResult
from app.analysis.mail.sources import Source
from app.analysis.policy.readiness import Blocker, FailingSource, PolicyStep, Published
from app.api.http import responses
from app.api.v1.analytics.links import Links
from app.protocols.dmarc import Record
from app.services.analytics.policy import SimulatedPolicy
from app.services.analytics.sources import SendingReport
from app.services.core.privacy import public_actor

MAX_ITEMS = 10  # addresses, signers and the like of one source that are named
MAX_LISTED = 100


def source(found: Source, sending: SendingReport, links: Links) -> dict[str, Any]:
    """A source, with the most of what it sent."""
    sender = found.service.sender
    return {
        "key": found.key,
        "name": found.service.name,
        "service": {"category": sender.category, "setup": sender.setup} if sender else None,
        "confidence": found.service.confidence,
        "evidence": found.service.evidence,
        "classification": found.kind,
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
        "firstSeenAt": responses.time(at(found.first_hour)),
        "lastSeenAt": responses.time(at(found.last_hour)),
        "addressCount": len(found.addresses),
        "addressesTruncated": found.has_more_addresses,
        "addresses": [
            _address(address, count, sending, links)
            for address, count in found.addresses.most_common(MAX_ITEMS)
        ],
        **links.listed(sending.flow_index.of_source(found)),
        **_kinds(found, sending.flow_index, links),
        "countries": dict(found.countries.most_common(MAX_ITEMS)),
    }


def _kinds(found: Source, ledger: FlowIndex, links: Links) -> dict[str, Any]:
    """Signing domains, SPF domains and From domains of its mail."""
    return {
        "signers": [
            {"domain": one[0], "selector": one[1], "result": one[2]} | _part(count, listed, links)
            for one, count, listed in ledger.signers(found, MAX_ITEMS)
        ],
        "envelopes": [
            {"domain": domain, "result": result} | _part(count, listed, links)
            for (domain, result), count, listed in ledger.envelopes(found, MAX_ITEMS)
        ],
        "headerFrom": [
            {"name": name} | _part(count, listed, links)
            for name, count, listed in ledger.authors(found, MAX_ITEMS)
        ],
    }


def _part(messages: int, listed: RecordQueryResult, links: Links) -> dict[str, Any]:
    return {"messages": messages, **links.listed(listed)}


def _decision(found: Source) -> dict[str, Any] | None:
    state = found.review
    return (
        {"decision": state.decision, "note": state.note, "actor": public_actor(state.actor)}
        if state
        else None
    )


def _address(address: str, count: int, sending: SendingReport, links: Links) -> dict[str, Any]:
    host = sending.context.hosts.get(address)
    return {
        "address": address,
        "messages": count,
        "reverseName": host.name if host else None,
        "asn": host.asn if host else None,
        "country": host.country if host else None,
        **links.listed(sending.flow_index.of_mail({address: count})),
    }


def uses(sending: SendingReport, links: Links) -> dict[str, Any]:
    """What is published and not used, the selectors, and the subdomains."""
    known = sending.existing.get("dkim", {}).get("facts", {}).get("selectors", {})
    domain = sending.domain.name
    selectors = [
        {
            "selector": found.selector,
            "messages": found.messages,
            "failed": found.failed,
            "published": found.is_published,
            **links.listed(sending.flow_index.all_records(_selector(domain, found.selector))),
        }
        for found in unused.selectors(domain, sending.identities, sending.sources, known)
    ]
    terms = unused.terms(sending.context.spf, sending.sources, sending.identities, sending.days)
    idle = [one for one in selectors if not one["messages"] and one["published"]]
    return {
        "unused": {
            "spfTerms": [
                {"term": use.term, "certain": use.is_certain} for use in terms if not use.messages
            ]
            if sending.days
            else [],
            "selectors": idle if sending.days else [],
        },
        "selectors": selectors[:MAX_LISTED],
        "subdomains": [
            {
                "name": found.name,
                "messages": found.messages,
                "passed": found.passed,
                "firstSeenAt": responses.time(at(found.first_hour)),
                **links.listed(
                    sending.flow_index.part(found.messages, sending.flow_index.author(found.name))
                ),
            }
            for found in unused.subdomains(domain, sending.sources, sending.identities)[:MAX_LISTED]
        ],
    }


def _selector(domain: str, selector: str) -> RecordQuery:
    return RecordQuery(signed=record_query.dkim_filter(domain, selector, None))


def step(
    found: PolicyStep, published: Published | None, sending: SendingReport, links: Links
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
        "proposed": found.proposed,
        "ready": found.is_ready,
        "blockers": [_blocker(one, found.scope, sending, links) for one in found.blockers],
        "legitimateFailing": found.legitimate_failing,
        **_failing(
            ("legitimateFailingSources", "otherLegitimateFailing"),
            found.legitimate_failing_sources,
            found.scope,
            sending,
            links,
        ),
        "spoofed": found.spoofed,
        **_failing(
            ("spoofedSources", "otherSpoofed"), found.spoofing_sources, found.scope, sending, links
        ),
        "caveats": _caveats(subdomains.unknowns(found.tag, record, below)),
        "change": change,
    }


def _blocker(
    found: Blocker, meets: RecordQuery, sending: SendingReport, links: Links
) -> dict[str, Any]:
    return {
        **_named(found.source),
        "messages": found.messages,
        "share": found.share,
        "reason": found.reason,
        "remediation": found.remediation,
        **links.listed(sending.flow_index.of_part(found.source, meets)),
    }


def _failing(
    names: tuple[str, str],
    found: Sequence[FailingSource],
    meets: RecordQuery,
    sending: SendingReport,
    links: Links,
) -> dict[str, Any]:
    """The sources that a figure of a step consists of, and what those beyond MANY add to it."""
    rest = found[MAX_LISTED:]
    return {
        names[0]: [
            {
                **_named(one.source),
                "messages": one.messages,
                **links.listed(sending.flow_index.of_part(one.source, meets)),
            }
            for one in found[:MAX_LISTED]
        ],
        names[1]: {"sources": len(rest), "messages": sum(one.messages for one in rest)},
    }


def _named(found: Source) -> dict[str, Any]:
    return {"source": found.key, "name": found.service.name, "classification": found.kind}


def simulation(found: SimulatedPolicy, links: Links) -> dict[str, Any]:
    """What would have happened."""
    replay, proposal = found.replay, found.proposal
    hit = links.listed(found.listed)
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
        "affected": replay.affected,
        "affectedRecordsUrl": hit["recordsUrl"],
        "affectedRecordsUrlExact": hit["recordsUrlExact"],
        "newlyAffected": replay.newly_affected,
        "noLongerAffected": replay.no_longer_affected,
        "sources": _affected(found, links),
        "sourceCount": len(replay.sources),
        "addressCount": len(replay.addresses),
        "headerFrom": [
            {"name": name} | _part(count, listed, links)
            for name, count, listed in found.listed_authors(MAX_LISTED)
        ],
        "reporters": _telling(found, links),
        "reporterCountsAreUpperBounds": found.reporter_counts_are_upper_bounds,
        "confidence": found.confidence,
        "caveats": _caveats(found.caveats),
        "recordsUrl": links.records(),
    }


def _caveats(found: Sequence[tuple[str, int | None]]) -> list[dict[str, Any]]:
    return [{"description": what, "messages": count} for what, count in found]


def _affected(found: SimulatedPolicy, links: Links) -> list[dict[str, Any]]:
    by_key = {source.key: source for source in found.sending.sources}
    return [
        {**_named(by_key[key]), "messages": count, **links.listed(found.listed_of(key))}
        for key, count in found.replay.sources.most_common(MAX_LISTED)
    ]


def _telling(found: SimulatedPolicy, links: Links) -> list[dict[str, Any]]:
    told = found.listed_by_reporter
    return [
        {
            "reporter": name,
            "messages": count,
            "recordsUrl": links.records(**told.filters, reporter=name),
            "recordsUrlExact": told.is_exact,
        }
        for name, count in found.reporters.most_common(MAX_LISTED)
    ]
