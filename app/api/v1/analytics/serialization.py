"""The answers of the analytics services as JSON: fields are renamed, and nothing is computed."""

from typing import Any

from app.analysis.mail.periods import at
from app.analysis.mail.record_filter import RecordUrls
from app.analysis.mail.source_details import (
    AddressCount,
    HeaderFromCount,
    Linked,
    PublishedUse,
    SourceDetail,
)
from app.analysis.mail.sources import Source, SourceReview
from app.analysis.mail.totals import Group, Period, Totals
from app.analysis.mail.unused import SelectorUse
from app.analysis.policy.blockers import Blocker, FailingSource
from app.analysis.policy.simulation_details import (
    AffectedPart,
    ReporterMessages,
    SourceMessages,
)
from app.analysis.policy.step_details import AffectedSources, Caveat, RecordChange, StepDetail
from app.analysis.policy.verdicts import (
    MAX_LOST_SHARE,
    MIN_DAYS,
    MIN_DAYS_AT_POLICY,
    MIN_MESSAGES,
)
from app.api.http import responses
from app.api.v1.analytics.links import linked
from app.services.analytics.policy import SimulatedPolicy
from app.services.analytics.tls import FailureGroup, SessionGroup, Sessions, TlsResult
from app.services.core.privacy import public_actor

THRESHOLDS = {
    "days": MIN_DAYS,
    "messages": MIN_MESSAGES,
    "daysAtPolicy": MIN_DAYS_AT_POLICY,
    "legitimateFailingShare": MAX_LOST_SHARE,
}


def totals(sums: Totals) -> dict[str, Any]:
    """Return the totals of some messages."""
    return {
        "messages": sums.messages,
        "passed": sums.passed,
        "dkimAligned": sums.dkim_aligned,
        "spfAligned": sums.spf_aligned,
        "passRate": sums.pass_rate,
    }


def period(sums: Period, records_url: str) -> dict[str, Any]:
    """Return the totals of a period, with the URL of its records."""
    return {
        **totals(sums),
        "dispositions": sums.dispositions,
        "unverified": sums.unverified,
        "reporters": sums.reporters,
        "recordsUrl": records_url,
    }


def group(row: Group, urls: RecordUrls) -> dict[str, Any]:
    """Return a group of messages, with its series."""
    return {
        "key": row.key,
        **totals(row),
        "previousMessages": row.previous_messages,
        "series": row.series,
        "recordsUrl": urls.url(row.records),
    }


def sessions(counts: Sessions) -> dict[str, Any]:
    """Return numbers of TLS sessions."""
    return {
        "successful": counts.successful,
        "failed": counts.failed,
        "failureRate": counts.failure_rate,
    }


def all_sessions(result: TlsResult, records_url: str) -> dict[str, Any]:
    """Return the sessions of a period over all policies."""
    return {
        **sessions(result.totals),
        "overlapping": result.is_overlapping,
        "recordsUrl": records_url,
    }


def session_group(row: SessionGroup, name: str, urls: RecordUrls) -> dict[str, Any]:
    """Return the sessions of a group; ``name`` is the field with the group's name."""
    return {name: row.name, **sessions(row.sessions), "recordsUrl": urls.url(row.records)}


def result_type(row: FailureGroup, urls: RecordUrls) -> dict[str, Any]:
    """Return the failed sessions of one failure type."""
    return {
        "resultType": row.name,
        "sessions": row.sessions,
        "recordsUrl": urls.url(row.records),
    }


def mx_host(row: FailureGroup, urls: RecordUrls) -> dict[str, Any]:
    """Return the failed sessions with one MX host."""
    return {
        "host": row.name or None,
        "sessions": row.sessions,
        "resultTypes": row.result_types,
        "recordsUrl": urls.url(row.records),
    }


def source(detail: SourceDetail, urls: RecordUrls) -> dict[str, Any]:
    """Return a source with its largest parts."""
    row = detail.source
    sender = row.service.sender
    return {
        "key": row.key,
        "name": row.service.name,
        "service": {"category": sender.category, "setup": sender.setup} if sender else None,
        "confidence": row.service.confidence,
        "evidence": row.service.evidence,
        "classification": row.kind,
        "reason": row.reason,
        "reasons": [
            {"kind": reason.kind, "reason": reason.reason, "messages": messages}
            for reason, messages in detail.reasons
        ],
        "decision": _decision(row.review),
        "messages": row.messages,
        "passed": row.passed,
        "dkimAligned": row.dkim_aligned,
        "spfAligned": row.spf_aligned,
        "passRate": row.pass_rate,
        "firstSeenAt": responses.time(detail.first_at),
        "lastSeenAt": responses.time(detail.last_at),
        "addressCount": len(row.addresses),
        "addressesTruncated": row.has_more_addresses,
        "addresses": [_address(address, urls) for address in detail.addresses],
        **linked(urls, detail.records),
        **_identities(detail, urls),
        "countries": detail.countries,
    }


def _identities(detail: SourceDetail, urls: RecordUrls) -> dict[str, Any]:
    return {
        "signers": [
            {
                "domain": item.figure.domain,
                "selector": item.figure.selector,
                "result": item.figure.result,
                "messages": item.figure.messages,
                **linked(urls, item.records),
            }
            for item in detail.dkim_results
        ],
        "envelopes": [
            {
                "domain": item.figure.domain,
                "result": item.figure.result,
                "messages": item.figure.messages,
                **linked(urls, item.records),
            }
            for item in detail.spf_results
        ],
        "headerFrom": [_header_from(item, urls) for item in detail.header_from],
    }


def _decision(review: SourceReview | None) -> dict[str, Any] | None:
    if review is None:
        return None
    return {
        "decision": review.decision,
        "note": review.note,
        "actor": public_actor(review.actor),
    }


def _address(item: Linked[AddressCount], urls: RecordUrls) -> dict[str, Any]:
    row = item.figure
    return {
        "address": row.address,
        "messages": row.messages,
        "reverseName": row.host.name,
        "asn": row.host.asn,
        "country": row.host.country,
        **linked(urls, item.records),
    }


def published_use(use: PublishedUse, urls: RecordUrls) -> dict[str, Any]:
    """Return the unused SPF terms and selectors, all selectors, and the subdomains."""
    return {
        "unused": {
            "spfTerms": [
                {"term": term.term, "certain": term.is_certain} for term in use.unused_terms
            ],
            "selectors": [_selector(item, urls) for item in use.unused_selectors],
        },
        "selectors": [_selector(item, urls) for item in use.selectors],
        "subdomains": [
            {
                "name": item.figure.name,
                "messages": item.figure.messages,
                "passed": item.figure.passed,
                "firstSeenAt": responses.time(at(item.figure.first_hour)),
                **linked(urls, item.records),
            }
            for item in use.subdomains
        ],
    }


def _selector(item: Linked[SelectorUse], urls: RecordUrls) -> dict[str, Any]:
    return {
        "selector": item.figure.selector,
        "messages": item.figure.messages,
        "failed": item.figure.failed,
        "published": item.figure.is_published,
        **linked(urls, item.records),
    }


def step(detail: StepDetail, urls: RecordUrls) -> dict[str, Any]:
    """Return a policy step with the sources that it affects."""
    row = detail.step
    return {
        "tag": row.tag,
        "current": row.current,
        "proposed": row.proposed,
        "ready": row.is_ready,
        "verdict": row.verdict,
        "reason": row.reason,
        "messages": row.messages,
        "blockers": [_blocker(item, urls) for item in detail.blockers],
        "legitimateFailing": row.legitimate_failing,
        "legitimateFailingShare": row.legitimate_failing_share,
        "legitimateFailingSources": [
            _source_messages(item, urls) for item in detail.legitimate.sources
        ],
        "otherLegitimateFailing": _other(detail.legitimate),
        "spoofed": row.spoofed,
        "spoofedSources": [_source_messages(item, urls) for item in detail.spoofed.sources],
        "otherSpoofed": _other(detail.spoofed),
        "caveats": [_caveat(caveat) for caveat in detail.caveats],
        "change": _change(detail.change),
    }


def _blocker(item: Linked[Blocker], urls: RecordUrls) -> dict[str, Any]:
    row = item.figure
    return {
        **_named(row.source),
        "messages": row.messages,
        "share": row.share,
        "reason": row.reason,
        "remediation": row.remediation,
        **linked(urls, item.records),
    }


def _other(affected: AffectedSources) -> dict[str, int]:
    return {"sources": affected.other_sources, "messages": affected.other_messages}


def _named(row: Source) -> dict[str, Any]:
    return {"source": row.key, "name": row.service.name, "classification": row.kind}


def _caveat(caveat: Caveat) -> dict[str, Any]:
    return {"description": caveat.description, "messages": caveat.messages}


def _change(change: RecordChange | None) -> dict[str, Any] | None:
    if change is None:
        return None
    return {
        "name": change.name,
        "type": "TXT",
        "before": change.before,
        "after": change.after,
        "rollback": change.rollback,
        "remarks": change.remarks,
    }


def simulation(simulated: SimulatedPolicy, urls: RecordUrls) -> dict[str, Any]:
    """Return the result of a simulation."""
    replay, proposal, affected = simulated.replay, simulated.proposal, simulated.affected
    return {
        "policy": {
            "p": proposal.p,
            "sp": proposal.sp,
            "np": proposal.np,
            "adkim": proposal.modes.adkim,
            "aspf": proposal.modes.aspf,
        },
        "removeSpf": proposal.removed_terms,
        "addDkim": proposal.signing_sources,
        "messages": replay.messages,
        "passed": replay.passed,
        "dispositions": replay.dispositions,
        "affected": replay.affected,
        "ownAffected": _affected_part(affected.own),
        "toReview": _affected_part(affected.to_review),
        "spoofedStopped": _affected_part(affected.spoofed),
        "affectedRecordsUrl": urls.url(affected.records.filter),
        "affectedRecordsUrlExact": affected.records.is_exact,
        "newlyAffected": replay.newly_affected,
        "noLongerAffected": replay.no_longer_affected,
        "sources": [_source_messages(item, urls) for item in affected.sources],
        "sourceCount": len(replay.sources),
        "addressCount": len(replay.addresses),
        "headerFrom": [_header_from(item, urls) for item in affected.header_from],
        "reporters": [_reporter(item, urls) for item in affected.reporters],
        "reporterCountsAreUpperBounds": simulated.reporter_counts_are_upper_bounds,
        "confidence": simulated.confidence,
        "caveats": [_caveat(caveat) for caveat in simulated.caveats],
        "recordsUrl": urls.url(),
    }


def _affected_part(part: AffectedPart) -> dict[str, int]:
    return {
        "messages": part.messages,
        "forwarded": part.forwarded,
        "sourceCount": part.source_count,
    }


def _source_messages(
    item: Linked[FailingSource] | Linked[SourceMessages], urls: RecordUrls
) -> dict[str, Any]:
    row = item.figure
    return {**_named(row.source), "messages": row.messages, **linked(urls, item.records)}


def _header_from(item: Linked[HeaderFromCount], urls: RecordUrls) -> dict[str, Any]:
    row = item.figure
    return {"name": row.name, "messages": row.messages, **linked(urls, item.records)}


def _reporter(item: Linked[ReporterMessages], urls: RecordUrls) -> dict[str, Any]:
    row = item.figure
    return {"reporter": row.reporter, "messages": row.messages, **linked(urls, item.records)}
