"""Alerts on who sends as a domain: sources, selectors and sub-domains that are new or fail."""

from collections.abc import Sequence
from typing import Any

from app.analysis.mail.classification import SourceClass
from app.analysis.mail.sources import Source
from app.checks.engine.types import Severity
from app.rules.engine.types import AlertDraft, Rule
from app.rules.reports.posture import Mail, ReportPosture

NEW_HOURS = 7 * 24
SETTLED_HOURS = 14 * 24  # of reports, before anything can be called new
MIN_NEW = 50  # messages
MIN_SUBDOMAIN = 10
REGRESSED_BELOW, REGRESSED_FROM = 0.90, 0.98
FAILING_SHARE, WORKED_SHARE = 0.5, 0.1
MIN_GONE = 200  # messages of four weeks: some twenty in the days that are looked at
MAX_SAMPLES = 20


def _is_settled(posture: ReportPosture) -> bool:
    """Reports go back far enough, and there are recent ones."""
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
    # What is seen now may be of a new address, or signed with a new key, and its source be old.
    known = {source.key: source.first_hour for source in posture.previous.sources}
    return [
        _of_new(posture, source)
        for source in posture.recent.sources
        if min(source.first_hour, known.get(source.key, source.first_hour))
        >= posture.now_hour - NEW_HOURS
        and source.messages >= MIN_NEW
        and source.review is None
        and source.kind in (SourceClass.OWN, SourceClass.UNKNOWN)
    ][:MAX_SAMPLES]


def _of_new(posture: ReportPosture, source: Source) -> AlertDraft:
    name = source.service.name
    type, severity, what = "source.new", Severity.MEDIUM, "A new source sends as the domain"
    if source.failed * 2 > source.messages:
        type, severity = "source.new_failing", Severity.HIGH
        what = "A new source sends as the domain, and its mail fails"
    elif source.service.sender:
        type, severity = "source.new_known_service", Severity.INFO
        what = "A well-known service has begun to send as the domain"
    if _trusted(posture, source) < MIN_NEW:
        severity = Severity.INFO
    return AlertDraft(
        type, source.key, severity, what,
        f"{posture.domain}: {name} sent {source.messages} messages, {source.failed} of them "
        f"failed; {source.reason}. Approve it, or block it.",
        {"observed": _figures(source), "threshold": {"messages": MIN_NEW},
         "samples": _samples(source)},
    )  # fmt: skip


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
        now, then = source.passed / source.messages, before.passed / before.messages
        if now < REGRESSED_BELOW and then >= REGRESSED_FROM:
            enough = _trusted(posture, source) >= MIN_NEW
            drafts.append(_of_regressed(posture, source, then, enough))
    return drafts[:MAX_SAMPLES]


def _of_regressed(
    posture: ReportPosture, source: Source, usual: float, is_trusted: bool
) -> AlertDraft:
    now = source.passed / source.messages
    return AlertDraft(
        "source.approved_regressed", source.key, Severity.HIGH if is_trusted else Severity.INFO,
        "Mail of an approved source passes no longer",
        f"{posture.domain}: {now:.0%} of the mail from {source.service.name} passed in the last "
        f"days, {usual:.0%} before: {source.reason}.",
        {"observed": _figures(source), "baseline": {"passRate": round(usual, 4)},
         "threshold": {"passRate": REGRESSED_BELOW}, "samples": _samples(source)},
    )  # fmt: skip


def _figures(source: Source) -> dict[str, Any]:
    return {"messages": source.messages, "passed": source.passed, "class": source.kind.value}


def _samples(source: Source) -> list[dict[str, Any]]:
    return [
        {"address": address, "messages": count}
        for address, count in source.addresses.most_common(5)
    ]


def quiet(recent: Mail, before: Mail) -> list[str]:
    """The selectors that signed much of the mail before, and none of the last days'."""
    used = {use.selector for use in recent.selectors if use.messages + use.failed}
    return [
        use.selector
        for use in before.selectors
        if use.messages >= MIN_GONE and use.selector not in used
    ]


def _subdomains(posture: ReportPosture) -> list[AlertDraft] | None:
    if not _is_settled(posture):
        return None
    known = {found.name: found.first_hour for found in posture.previous.subdomains}
    return [AlertDraft(
        "subdomain.new_sending", found.name, posture.capped(_unless_spoofed(found.passed)),
        "Mail comes from a sub-domain that never sent before",
        f"{posture.domain}: {found.messages} messages say they are from {found.name}, "
        f"{found.passed} of them passed.",
        {"observed": {"messages": found.messages, "passed": found.passed},
         "threshold": {"messages": MIN_SUBDOMAIN}},
    ) for found in posture.recent.subdomains
        if min(found.first_hour, known.get(found.name, found.first_hour))
        >= posture.now_hour - NEW_HOURS and found.messages >= MIN_SUBDOMAIN
    ][:MAX_SAMPLES]  # fmt: skip


def _unless_spoofed(passed: int) -> Severity:
    """What nothing authenticates anybody could have sent, or reported."""
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
            drafts.append(AlertDraft(
                "dkim.selector_new", use.selector, Severity.INFO,
                "Mail is signed with a selector that was not seen before",
                f"{posture.domain}: {use.messages} messages have valid signatures of "
                f"{use.selector}._domainkey.{posture.domain}.",
                {"observed": {"messages": use.messages, "published": use.is_published}},
            ))  # fmt: skip
        elif before and signed >= MIN_NEW and use.failed > signed * FAILING_SHARE:
            then = before.messages + before.failed
            if before.failed <= then * WORKED_SHARE:
                severity = Severity.HIGH if is_verified else Severity.INFO
                drafts.append(AlertDraft(
                    "dkim.selector_failing", use.selector, severity,
                    "Signatures of a selector fail that were valid before",
                    f"{posture.domain}: {use.failed} of {signed} signatures of {use.selector} "
                    f"failed; before, {before.failed} of {then}. Is the key still published?",
                    {"observed": {"valid": use.messages, "failed": use.failed},
                     "baseline": {"valid": before.messages, "failed": before.failed},
                     "threshold": {"share": FAILING_SHARE}},
                    reference="RFC 6376 §3.6.1",
                ))  # fmt: skip
    return drafts[: 2 * MAX_SAMPLES]


def _gone(posture: ReportPosture) -> list[AlertDraft] | None:
    """Selectors that signed much of the mail, and for long none: some are of a weekly letter."""
    volume = posture.recent.everything.messages
    if not _is_settled(posture) or volume < MIN_NEW or posture.is_behind:
        return None
    usual = {use.selector: use.messages for use in posture.previous.selectors}
    return [AlertDraft(
        "dkim.selector_gone", signer.name, posture.capped(Severity.LOW),
        "A selector signs no mail any more",
        f"{posture.domain}: {usual[signer.name]} messages of four weeks had valid signatures of "
        f"{signer.name}._domainkey.{posture.domain}, and none of the "
        f"{(posture.now_hour - signer.last) // 24} days until now. "
        "If it was replaced, take its key out of DNS.",
        {"observed": {"messages": 0, "of": volume,
                      "silentHours": posture.now_hour - signer.last},
         "baseline": {"messages": usual[signer.name], "intervalHours": signer.typical_interval},
         "threshold": {"messages": MIN_GONE}},
        reference="RFC 6376 §3.1",
    ) for signer in posture.signers if signer.has_stopped][:MAX_SAMPLES]  # fmt: skip


RULES: Sequence[Rule[ReportPosture]] = (
    Rule(frozenset(("source.new", "source.new_failing", "source.new_known_service")), _new),
    Rule(frozenset(("source.approved_regressed",)), _regressed),
    Rule(frozenset(("subdomain.new_sending",)), _subdomains),
    Rule(frozenset(("dkim.selector_new", "dkim.selector_failing")), _selectors),
    Rule(frozenset(("dkim.selector_gone",)), _gone),
)
