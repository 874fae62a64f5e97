"""What a draft would have done to the email in the stored reports of a domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from app.analysis.mail.periods import Window
from app.analysis.policy import published as published_policy
from app.analysis.policy import simulation
from app.analysis.policy.draft_effect import (
    DraftMail,
    PolicyEffect,
    PolicyInForce,
    SpfLoss,
    SpfOfRecords,
)
from app.analysis.policy.simulation import Mail
from app.checks.engine import stored_results
from app.checks.engine.types import CheckResult, Verdict
from app.db.transactions import transaction
from app.services.analytics import sending
from app.services.analytics.sending import SendingReport
from app.services.core import domain_lookup
from app.services.rollups import rollup_queue

MAX_SENDERS = 50  # in each list


@dataclass(frozen=True, slots=True)
class DmarcEffect:
    """The effect of the DMARC record, together with that of the SPF record.

    before, after  the policies in force
    """

    before: PolicyInForce
    after: PolicyInForce
    email: PolicyEffect
    confidence: str


@dataclass(frozen=True, slots=True)
class EmailEffect:
    """The effect of a draft on the reported email of a period.

    spf_losses       sources that lose SPF; None if SPF is undetermined
    policy           None if DMARC is undetermined
    pending_reports  stored reports that are not in these figures yet
    """

    window: Window
    messages: int
    days: int
    reporters: int
    pending_reports: int
    spf_losses: Sequence[SpfLoss] | None
    policy: DmarcEffect | None


class CheckedDraft:
    """The results of the checks of one state of DNS that decide about email."""

    def __init__(self, domain: str, results: Sequence[CheckResult]) -> None:
        by_check = {result.check: result for result in results}
        self._domain = domain
        self._spf, self._dmarc = by_check["spf"], by_check["dmarc"]

    @property
    def spf(self) -> SpfOfRecords | None:
        """The senders that SPF authorizes; None if that is undetermined."""
        if self._spf.verdict is Verdict.UNDETERMINED:
            return None
        return SpfOfRecords.from_result(self._domain, stored_results.as_json(self._spf))

    @property
    def policy(self) -> PolicyInForce | None:
        """The DMARC policy in force; None if that is undetermined."""
        if self._dmarc.verdict is Verdict.UNDETERMINED:
            return None
        published = published_policy.from_facts(self._domain, self._dmarc.facts)
        return PolicyInForce.of(published) if published else None

    @property
    def spf_evidence(self) -> Sequence[tuple[str, str, Sequence[str]]]:
        """The records that decide about SPF, in an order that does not depend on the answers."""
        return sorted(
            (record.name, record.type, sorted(record.values)) for record in self._spf.records
        )


def measure(
    account_id: UUID, ref: str, window: Window, states: tuple[CheckedDraft, CheckedDraft]
) -> EmailEffect:
    """Return the effect of the draft on the email of the window.

    states  today's DNS, and the draft
    raises  NotFound
    """
    rollup_queue.drain_domain(account_id, ref)
    with transaction(readonly=True, snapshot=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        report = sending.load(session, domain, window)
        pending = rollup_queue.pending_count(session, domain.id)
    mail = DraftMail(domain.name, _mail(report), report.sources, report.context.org_domain)
    before, after = states
    spf_before, spf_after = before.spf, after.spf
    spf = (spf_before, spf_after) if spf_before and spf_after else None
    is_same = before.spf_evidence == after.spf_evidence
    losses = None if spf is None else [] if is_same else mail.spf_losses(*spf)[:MAX_SENDERS]
    return EmailEffect(
        window=window,
        messages=report.messages,
        days=report.days,
        reporters=report.reporters,
        pending_reports=pending,
        spf_losses=losses,
        policy=_dmarc_effect(mail, report, states, None if is_same else spf),
    )


def _dmarc_effect(
    mail: DraftMail,
    report: SendingReport,
    states: tuple[CheckedDraft, CheckedDraft],
    spf: tuple[SpfOfRecords, SpfOfRecords] | None,
) -> DmarcEffect | None:
    before, after = states[0].policy, states[1].policy
    if before is None or after is None:
        return None
    effect = mail.policy_effect((before, after), spf)
    return DmarcEffect(
        before=before,
        after=after,
        email=effect,
        confidence=simulation.confidence(effect.after, report.days),
    )


def _mail(report: SendingReport) -> list[Mail]:
    return [
        Mail(report.identities[number], source.key, flows)
        for source in report.sources
        for number, flows in source.flows.items()
    ]
