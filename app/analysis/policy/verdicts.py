"""The verdict on a step to a stricter policy, and the rules of RFC 9989 §7.4 behind it.

Mail of users fails at mailing lists and forwarders, which the domain's owner cannot change. The
RFC therefore advises to publish p=none for at least a month, then p=quarantine for as long, and to
compare the results before p=reject, which must not depend on SPF alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.analysis.policy.published import Published
from app.protocols.dmarc import Policy

MIN_DAYS = 14  # with reports
MIN_MESSAGES = 100
MIN_DAYS_AT_POLICY = 30  # unchanged: at none before quarantine, at quarantine before reject
MAX_LOST_SHARE = 0.005  # of all mail of the domain; reject is advised only below it
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
    days_at_policy  full days since the last change of the published policy; None: unknown
    """

    window_days: int
    days: int
    messages: int
    reporters: int
    days_at_policy: int | None = None

    @property
    def is_sufficient(self) -> bool:
        """Whether the evidence is sufficient for an answer."""
        return self.days >= MIN_DAYS and self.messages >= MIN_MESSAGES

    def share(self, messages: int) -> float:
        """Return these messages as a share of all mail of the domain, from 0 to 1."""
        return messages / self.messages if self.messages else 0.0


@dataclass(frozen=True, slots=True)
class Impact:
    """What a step would do to the mail of the window.

    step                the tag with the proposed policy, such as ``p=quarantine``
    highest             the strictest policy that the new record raises a policy to
    authors             the domains whose mail the step concerns, as text
    messages            the number of messages of these domains
    blockers            names of the sources that block the step
    lost                other legitimate messages that would fail
    lost_at_forwarders  those of forwarders and mailing lists
    has_dkim            whether any mail of own sources passes DKIM in alignment
    """

    step: str
    highest: Policy
    authors: str
    messages: int
    blockers: Sequence[str]
    lost: int
    lost_at_forwarders: int
    has_dkim: bool


def unmet(evidence: Evidence, published: Published | None) -> list[str]:
    """Return what is missing for an answer, as text."""
    missing = []
    if published is None:
        missing.append("a scan of the DMARC record")
    if evidence.days < MIN_DAYS:
        missing.append(f"reports from {MIN_DAYS} days (received so far: {evidence.days})")
    if evidence.messages < MIN_MESSAGES:
        missing.append(f"{MIN_MESSAGES} legitimate messages (reported so far: {evidence.messages})")
    return missing


def decide(impact: Impact, evidence: Evidence, published: Published | None) -> tuple[Verdict, str]:
    """Return the verdict on the step, and the reason as text."""
    if not impact.messages:
        return (
            Verdict.NOT_ENOUGH_DATA,
            f"No mail seen: no report contains mail from {impact.authors}.",
        )
    if published is None or not evidence.is_sufficient:
        missing = "; ".join(unmet(evidence, published))
        return Verdict.NOT_ENOUGH_DATA, f"Not enough data yet. Missing: {missing}."
    if obstacle := _blocked(impact.blockers) or _too_early(impact, evidence, published):
        return Verdict.NOT_READY, obstacle
    if objection := _objection_to_reject(impact, evidence):
        return (
            Verdict.READY_FOR_QUARANTINE,
            f"Quarantine is suitable, but reject is not: {objection}",
        )
    return Verdict.READY, _effect(impact, evidence) + _own_record(published)


def _effect(impact: Impact, evidence: Evidence) -> str:
    if not impact.lost:
        return f"None of the domain's own mail would fail with {impact.step}."
    return (
        f"{_lost(impact, evidence)} would fail with {impact.step}, which is below the limit of "
        f"{percent(MAX_LOST_SHARE)}."
    )


def _own_record(published: Published) -> str:
    """What to do if the policy is inherited: only a record of its own changes it for the domain."""
    if not published.is_inherited:
        return ""
    return (
        f" The current policy is inherited from {published.found_at or 'a parent domain'}: publish "
        f"a record of the domain's own at {published.name} to change it for this domain only."
    )


def _blocked(names: Sequence[str]) -> str | None:
    if not names:
        return None
    others = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"Mail from {names[0]}{others} would fail. Set up authentication there, or classify the "
        "source if it is not yours."
    )


def _too_early(impact: Impact, evidence: Evidence, published: Published) -> str | None:
    """The reason if the current policy was not published for long enough."""
    advice = f"{SECTION} advises at least {MIN_DAYS_AT_POLICY} days before {impact.step}"
    if published.text is None:
        return f"No DMARC record is published. Publish p=none first: {advice}."
    days, subject = evidence.days_at_policy, "the current policy"
    if published.is_inherited:
        subject += f", which is inherited from {published.found_at or 'a parent domain'},"
    if days is None:
        return f"It is unknown how long {subject} has been published: {advice}."
    if days < MIN_DAYS_AT_POLICY:
        count = f"{days} day{'s' if days != 1 else ''}"
        return f"{subject[0].upper()}{subject[1:]} has been unchanged for {count}: {advice}."
    return None


def _objection_to_reject(impact: Impact, evidence: Evidence) -> str | None:
    """The reason if mail that fails must not be rejected; None if it may be."""
    if evidence.share(impact.lost) >= MAX_LOST_SHARE:
        return (
            f"{_lost(impact, evidence)} would be lost with reject. The limit is "
            f"{percent(MAX_LOST_SHARE)} ({SECTION})."
        )
    if not impact.has_dkim:
        return f"no mail of your own sources passes DKIM, which {SECTION} requires for reject."
    return None


def _lost(impact: Impact, evidence: Evidence) -> str:
    count = f"{impact.lost:,} legitimate message{'s' if impact.lost != 1 else ''}"
    share = percent(evidence.share(impact.lost))
    at_forwarders = f"{impact.lost_at_forwarders:,} of them at forwarders and mailing lists"
    return f"{count} ({share} of all mail of the domain, {at_forwarders})"


def percent(share: float) -> str:
    """Return the share as text, such as ``0.5 %``."""
    return f"{share * 100:.2f}".rstrip("0").rstrip(".") + " %"
