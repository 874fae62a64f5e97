"""Alerts on the sources, DKIM selectors and subdomains that send as a domain."""

from collections.abc import Sequence

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.sources import Source
from app.analysis.mail.unused import SelectorUse
from app.checks.engine.types import Severity
from app.protocols.json_values import JsonObject
from app.protocols.quantities import quantity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.posture import Mail, ReportPosture

NEW_HOURS = 7 * 24
SETTLED_HOURS = 14 * 24  # of reports; with less nothing can be called new
MIN_NEW = 50  # messages
MIN_SUBDOMAIN = 10
REGRESSED_BELOW, REGRESSED_FROM = 0.90, 0.98
FAILING_SHARE, WORKED_SHARE = 0.5, 0.1
MIN_GONE = 200  # messages in four weeks, about twenty in the recent days
MAX_SAMPLES = 20


def _is_settled(posture: ReportPosture) -> bool:
    """Whether reports go back far enough, and there are recent ones."""
    first = posture.first_hour
    return bool(
        first is not None
        and posture.now_hour - first >= SETTLED_HOURS
        and posture.recent.everything.messages
    )


def _trusted(posture: ReportPosture, source: Source) -> int:
    identities = posture.recent.identities
    return sum(count for number, count in source.identities.items() if identities[number].trusted)


def _new(posture: ReportPosture) -> list[AlertDraft] | None:
    if not _is_settled(posture):
        return None
    # A known source may send from a new address or sign with a new key.
    first_hours = {source.key: source.first_hour for source in posture.previous.sources}
    return [
        _of_new(posture, source)
        for source in posture.recent.sources
        if min(source.first_hour, first_hours.get(source.key, source.first_hour))
        >= posture.now_hour - NEW_HOURS
        and source.messages >= MIN_NEW
        and source.review is None
        and source.kind in (SourceClass.OWN, SourceClass.UNKNOWN)
    ][:MAX_SAMPLES]


def _of_new(posture: ReportPosture, source: Source) -> AlertDraft:
    name = source.service.name
    type, severity, title = "source.new", Severity.MEDIUM, "New source sends as your domain"
    if source.failed * 2 > source.messages:
        type, severity = "source.new_failing", Severity.HIGH
        title = "New source sends as your domain and fails DMARC"
    elif source.service.sender:
        type, severity = "source.new_known_service", Severity.INFO
        title = "Known email service started sending as your domain"
    if _trusted(posture, source) < MIN_NEW:
        severity = Severity.INFO
    return AlertDraft(
        type=type,
        subject=source.key,
        severity=severity,
        title=title,
        message=f"{posture.domain}: {name} sent {quantity(source.messages, 'message')} as this "
        f"domain; "
        f"{source.failed} of them failed DMARC. Classification: {source.reason}. Approve or block "
        "the source.",
        evidence={
            "observed": _figures(source),
            "threshold": {"messages": MIN_NEW},
            "samples": _samples(source),
        },
    )


def _regressed(posture: ReportPosture) -> list[AlertDraft] | None:
    if not posture.recent.everything.messages:
        return None
    usual = {source.key: source for source in posture.previous.sources}
    drafts = []
    for source in posture.recent.sources:
        before = usual.get(source.key)
        if source.review is None or source.review.decision != "approved" or before is None:
            continue
        if min(source.messages, before.messages) < MIN_NEW:
            continue
        rate, usual_rate = source.passed / source.messages, before.passed / before.messages
        if rate < REGRESSED_BELOW and usual_rate >= REGRESSED_FROM:
            is_trusted = _trusted(posture, source) >= MIN_NEW
            drafts.append(_of_regressed(posture, source, usual_rate, is_trusted))
    return drafts[:MAX_SAMPLES]


def _of_regressed(
    posture: ReportPosture, source: Source, usual: float, is_trusted: bool
) -> AlertDraft:
    now = source.passed / source.messages
    return AlertDraft(
        type="source.approved_regressed",
        subject=source.key,
        severity=Severity.HIGH if is_trusted else Severity.INFO,
        title="Approved source started failing DMARC",
        message=f"{posture.domain}: {now:.0%} of the email from {source.service.name} passed DMARC "
        f"in the last days, compared with {usual:.0%} before ({source.reason}). Check its DKIM "
        "key and its SPF include.",
        evidence={
            "observed": _figures(source),
            "baseline": {"passRate": round(usual, 4)},
            "threshold": {"passRate": REGRESSED_BELOW},
            "samples": _samples(source),
        },
    )


def _figures(source: Source) -> JsonObject:
    return {"messages": source.messages, "passed": source.passed, "class": source.kind.value}


def _samples(source: Source) -> list[JsonObject]:
    return [
        {"address": address, "messages": count}
        for address, count in source.addresses.most_common(5)
    ]


def quiet(recent: Mail, before: Mail) -> list[str]:
    """Return the selectors that signed much of the earlier email, and none of the recent email."""
    used = {use.selector for use in recent.selectors if use.messages + use.failed}
    return [
        use.selector
        for use in before.selectors
        if use.messages >= MIN_GONE and use.selector not in used
    ]


def _subdomains(posture: ReportPosture) -> list[AlertDraft] | None:
    if not _is_settled(posture):
        return None
    first_hours = {
        subdomain.name: subdomain.first_hour for subdomain in posture.previous.subdomains
    }
    return [
        AlertDraft(
            type="subdomain.new_sending",
            subject=subdomain.name,
            severity=posture.capped(_unless_spoofed(subdomain.passed)),
            title="New subdomain sends email",
            message=f"{posture.domain}: {quantity(subdomain.messages, 'message')} had "
            f"{subdomain.name} in the "
            f"From address for the first time; {subdomain.passed} of them passed DMARC. If the "
            "subdomain is yours, set up SPF and DKIM for it. Otherwise the sp and np tags of the "
            "DMARC record protect it.",
            evidence={
                "observed": {"messages": subdomain.messages, "passed": subdomain.passed},
                "threshold": {"messages": MIN_SUBDOMAIN},
            },
        )
        for subdomain in posture.recent.subdomains
        if min(subdomain.first_hour, first_hours.get(subdomain.name, subdomain.first_hour))
        >= posture.now_hour - NEW_HOURS
        and subdomain.messages >= MIN_SUBDOMAIN
    ][:MAX_SAMPLES]


def _unless_spoofed(passed: int) -> Severity:
    """Info if nothing passed: anyone could have sent, or reported, such email."""
    return Severity.MEDIUM if passed else Severity.INFO


def _selectors(posture: ReportPosture) -> list[AlertDraft] | None:
    if not _is_settled(posture) or not posture.previous.everything.messages:
        return None
    usual = {use.selector: use for use in posture.previous.selectors}
    is_verified = posture.recent.verified.messages >= MIN_NEW
    drafts = []
    for use in posture.recent.selectors:
        signed, before = use.messages + use.failed, usual.get(use.selector)
        if before is None and use.messages:
            drafts.append(_new_selector(posture, use))
        elif (
            before
            and signed >= MIN_NEW
            and use.failed > signed * FAILING_SHARE
            and before.failed <= (before.messages + before.failed) * WORKED_SHARE
        ):
            severity = Severity.HIGH if is_verified else Severity.INFO
            drafts.append(_failing_selector(posture, use, before, severity))
    return drafts[: 2 * MAX_SAMPLES]


def _new_selector(posture: ReportPosture, use: SelectorUse) -> AlertDraft:
    return AlertDraft(
        type="dkim.selector_new",
        subject=use.selector,
        severity=Severity.INFO,
        title="New DKIM selector in use",
        message=f"{posture.domain}: {quantity(use.messages, 'message')} had valid signatures of "
        f"{use.selector}._domainkey.{posture.domain}, which was not seen before. If your team "
        "didn't rotate keys, find out who signs.",
        evidence={"observed": {"messages": use.messages, "published": use.is_published}},
    )


def _failing_selector(
    posture: ReportPosture, use: SelectorUse, before: SelectorUse, severity: Severity
) -> AlertDraft:
    signed, usual_signed = use.messages + use.failed, before.messages + before.failed
    return AlertDraft(
        type="dkim.selector_failing",
        subject=use.selector,
        severity=severity,
        title="DKIM signatures of a selector started failing",
        message=f"{posture.domain}: {use.failed} of {signed} DKIM signatures of {use.selector} "
        f"failed, compared with {before.failed} of {usual_signed} before. Check that the public "
        "key is published as the signer has it.",
        evidence={
            "observed": {"valid": use.messages, "failed": use.failed},
            "baseline": {"valid": before.messages, "failed": before.failed},
            "threshold": {"share": FAILING_SHARE},
        },
        reference="RFC 6376 §3.6.1",
    )


def _gone(posture: ReportPosture) -> list[AlertDraft] | None:
    """Alerts on selectors that signed much email and are silent for longer than usual."""
    volume = posture.recent.everything.messages
    if not _is_settled(posture) or volume < MIN_NEW or posture.is_behind:
        return None
    usual = {use.selector: use.messages for use in posture.previous.selectors}
    return [
        AlertDraft(
            type="dkim.selector_gone",
            subject=signer.name,
            severity=posture.capped(Severity.LOW),
            title="DKIM selector no longer signs email",
            message=f"{posture.domain}: {quantity(usual[signer.name], 'message')} in four "
            f"weeks had valid "
            f"signatures of {signer.name}._domainkey.{posture.domain}, but none in the last "
            f"{quantity((posture.now_hour - signer.last) // 24, 'day')}. If you replaced it, "
            f"remove its key "
            "from DNS.",
            evidence={
                "observed": {
                    "messages": 0,
                    "of": volume,
                    "silentHours": posture.now_hour - signer.last,
                },
                "baseline": {
                    "messages": usual[signer.name],
                    "intervalHours": signer.typical_interval,
                },
                "threshold": {"messages": MIN_GONE},
            },
            reference="RFC 6376 §3.1",
        )
        for signer in posture.signers
        if signer.has_stopped
    ][:MAX_SAMPLES]


RULES: Sequence[Rule[ReportPosture]] = (
    Rule(frozenset(("source.new", "source.new_failing", "source.new_known_service")), _new),
    Rule(frozenset(("source.approved_regressed",)), _regressed),
    Rule(frozenset(("subdomain.new_sending",)), _subdomains),
    Rule(frozenset(("dkim.selector_new", "dkim.selector_failing")), _selectors),
    Rule(frozenset(("dkim.selector_gone",)), _gone),
)
