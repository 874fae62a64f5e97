"""The verdict on a step to a stricter policy, and the rules of RFC 9989 §7.4 behind it.

Mail of users fails at mailing lists and forwarders, which the domain's owner cannot change. The
RFC therefore advises to publish p=none for at least a month, then p=quarantine for as long, and to
compare the results before p=reject, which must not depend on SPF alone.

A verdict is safe: more mail that fails, fewer reports, or more that is unknown never turns it into
``ready``. Limits on failing mail therefore compare it with the mail that passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.analysis.policy.published import Published
from app.protocols.dmarc import Policy
from app.protocols.quantities import quantity

MIN_DAYS = 14  # with reports
MIN_MESSAGES = 100
MIN_DAYS_AT_POLICY = 30  # unchanged: at none before quarantine, at quarantine before reject
MAX_SILENT_DAYS = 7  # since the last day with reports
MAX_LOST_SHARE = 0.005  # of it and the mail that passes; reject is advised only below it
SECTION = "RFC 9989 §7.4"


class Verdict(StrEnum):
    """Whether a stricter policy is advised.

    READY_FOR_QUARANTINE  quarantine is suitable, and reject would lose too much legitimate mail
    """

    READY = "ready"
    READY_FOR_QUARANTINE = "ready_for_quarantine"
    NOT_READY = "not_ready"
    NOT_ENOUGH_DATA = "not_enough_data"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The amount of evidence for the answer.

    days            days of the window with reports
    messages        all mail of the domain: of its own sources and of forwarders, and mail of other
                    sources that passes; spoofed mail is not the domain's
    passed          the mail that passes
    days_at_policy  full days since the last change of the published policy; None: unknown
    gaps            what is missing and could hide senders, as text
    """

    window_days: int
    days: int
    messages: int
    passed: int
    reporters: int
    days_at_policy: int | None = None
    gaps: tuple[str, ...] = ()

    @property
    def is_sufficient(self) -> bool:
        """Whether the evidence is sufficient for an answer."""
        return self.days >= MIN_DAYS and self.messages >= MIN_MESSAGES and not self.gaps

    def share(self, messages: int) -> float:
        """Return failed messages as a share of them and the mail that passes, from 0 to 1."""
        return messages / (self.passed + messages) if messages else 0.0


@dataclass(frozen=True, slots=True)
class Impact:
    """What a step would do to the mail of the window.

    step                the tag with the proposed policy, such as ``p=quarantine``
    highest             the strictest policy that the new record raises a policy to
    authors             the domains whose mail the step concerns, as text
    messages            the number of messages of these domains that the verdict is based on
    blockers            names of the sources that block the step
    own_blockers        how many of them are the domain's own
    lost                other legitimate messages that would fail
    lost_at_forwarders  those of forwarders and mailing lists
    to_review           messages of other sources that are not classified
    unidentified        messages that fail and are too rare to know their sources
    has_dkim            whether any mail of own sources passes DKIM in alignment
    """

    step: str
    highest: Policy
    authors: str
    messages: int
    blockers: Sequence[str]
    own_blockers: int
    lost: int
    lost_at_forwarders: int
    to_review: int
    unidentified: int
    has_dkim: bool


@dataclass(frozen=True, slots=True)
class Decision:
    """The verdict on a step.

    reason   why, as one or more sentences
    summary  why, in a few words that can follow a colon
    """

    verdict: Verdict
    reason: str
    summary: str


def unmet(evidence: Evidence, published: Published | None) -> list[str]:
    """Return what is missing for an answer, as text."""
    missing = []
    if published is None:
        missing.append("a scan of the DMARC record")
    if evidence.days < MIN_DAYS:
        missing.append(f"reports from {MIN_DAYS} days (received so far: {evidence.days})")
    if evidence.messages < MIN_MESSAGES:
        missing.append(f"{MIN_MESSAGES} legitimate messages (reported so far: {evidence.messages})")
    return [*missing, *evidence.gaps]


def decide(impact: Impact, evidence: Evidence, published: Published | None) -> Decision:
    """Return the verdict on the step."""
    if not impact.messages:
        reason = f"No mail seen: no report contains mail from {impact.authors}."
        return Decision(Verdict.NOT_ENOUGH_DATA, reason, f"no mail seen from {impact.authors}")
    if published is None or not evidence.is_sufficient:
        return _unknown(impact, unmet(evidence, published))
    if obstacle := _blocked(impact) or _too_early(impact, evidence, published):
        return obstacle
    if missing := _unidentified(impact, evidence):
        return _unknown(impact, missing)
    if objection := _objection_to_reject(impact, evidence):
        return objection
    reason = _effect(impact, evidence) + _own_record(published)
    return Decision(Verdict.READY, reason, _affected(impact, evidence))


def _unknown(impact: Impact, missing: Sequence[str]) -> Decision:
    summary = "not enough data yet"
    if impact.blockers:
        summary = f"{_to_do(impact)}, and {summary}"
    reason = f"Not enough data yet. Missing: {'; '.join(missing)}."
    return Decision(Verdict.NOT_ENOUGH_DATA, reason, summary)


def _unidentified(impact: Impact, evidence: Evidence) -> list[str]:
    """What is missing although there are enough reports, as text."""
    missing = []
    if evidence.passed < MIN_MESSAGES:
        missing.append(f"{MIN_MESSAGES} messages that pass DMARC (so far: {evidence.passed})")
    if evidence.share(impact.unidentified) >= MAX_LOST_SHARE:
        messages = quantity(impact.unidentified, "message")
        missing.append(f"the senders of {messages} that fail, each too rare to be listed")
    return missing


def _effect(impact: Impact, evidence: Evidence) -> str:
    if not impact.lost:
        return f"None of the domain's own mail would fail with {impact.step}."
    return (
        f"{_lost(impact, evidence)} would fail with {impact.step}, which is below the limit of "
        f"{percent(MAX_LOST_SHARE)}."
    )


def _affected(impact: Impact, evidence: Evidence) -> str:
    """What the step would have done to the mail of the window, in a few words."""
    legitimate = quantity(evidence.messages, "legitimate message")
    effect = "lost" if impact.highest is Policy.REJECT else "quarantined"
    text = (
        f"{impact.lost:,} of {legitimate} would have been {effect} in "
        f"{quantity(evidence.days, 'day')}"
    )
    if impact.to_review:
        text += f", and {quantity(impact.to_review, 'message')} of unclassified senders"
    return text


def _own_record(published: Published) -> str:
    """What to do if the policy is inherited: only a record of its own changes it for the domain."""
    if not published.is_inherited:
        return ""
    return (
        f" The current policy is inherited from {published.found_at or 'a parent domain'}: publish "
        f"a record of the domain's own at {published.name} to change it for this domain only."
    )


def _blocked(impact: Impact) -> Decision | None:
    names = impact.blockers
    if not names:
        return None
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    reason = (
        f"Mail from {names[0]}{others} would fail. Set up authentication there, or classify the "
        "source if it is not yours."
    )
    return Decision(Verdict.NOT_READY, reason, _to_do(impact))


def _to_do(impact: Impact) -> str:
    """What to do about the blockers, in a few words."""
    counts = {
        "to set up": impact.own_blockers,
        "to review": len(impact.blockers) - impact.own_blockers,
    }
    return ", ".join(f"{quantity(n, 'sender')} {task}" for task, n in counts.items() if n)


def _too_early(impact: Impact, evidence: Evidence, published: Published) -> Decision | None:
    """The verdict if the current policy was not published for long enough."""
    advice = f"{SECTION} advises at least {MIN_DAYS_AT_POLICY} days before {impact.step}"
    if published.text is None:
        reason = f"No DMARC record is published. Publish p=none first: {advice}."
        return Decision(Verdict.NOT_READY, reason, "publish p=none first")
    days, subject = evidence.days_at_policy, "the current policy"
    if published.is_inherited:
        subject += f", which is inherited from {published.found_at or 'a parent domain'},"
    if days is None:
        reason = f"It is unknown how long {subject} has been published: {advice}."
        summary = "it is unknown how long the current policy has been published"
        return Decision(Verdict.NOT_READY, reason, summary)
    if days < MIN_DAYS_AT_POLICY:
        count = quantity(days, "day")
        reason = f"{subject[0].upper()}{subject[1:]} has been unchanged for {count}: {advice}."
        summary = f"the current policy has been published for {days} of {MIN_DAYS_AT_POLICY} days"
        return Decision(Verdict.NOT_READY, reason, summary)
    return None


def _objection_to_reject(impact: Impact, evidence: Evidence) -> Decision | None:
    """The verdict if mail that fails must not be rejected; None if it may be."""
    summary = _affected(impact, evidence)
    if evidence.share(impact.lost) >= MAX_LOST_SHARE:
        objection = (
            f"{_lost(impact, evidence)} would be lost with reject. The limit is "
            f"{percent(MAX_LOST_SHARE)} ({SECTION})."
        )
    elif not impact.has_dkim:
        objection = f"no mail of your own sources passes DKIM, which {SECTION} requires for reject."
        if impact.highest is Policy.REJECT:
            summary = "none of your own mail passes DKIM"
    else:
        return None
    reason = f"Quarantine is suitable, but reject is not: {objection}"
    return Decision(Verdict.READY_FOR_QUARANTINE, reason, summary)


def _lost(impact: Impact, evidence: Evidence) -> str:
    count = quantity(impact.lost, "legitimate message")
    share = percent(evidence.share(impact.lost))
    at_forwarders = f"{impact.lost_at_forwarders:,} of them at forwarders and mailing lists"
    return f"{count} ({share} of all mail of the domain, {at_forwarders})"


def percent(share: float) -> str:
    """Return the share as text, such as ``0.5 %``."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + " %"
