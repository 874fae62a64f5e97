"""Plans: what the checks say about draft records, compared with today's DNS."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from app import settings
from app.analysis.mail.periods import Window
from app.analysis.scan import diff, plan_comparison
from app.analysis.scan.plan_comparison import CheckChange, Effect
from app.checks.engine import stored_results
from app.checks.engine.draft_zones import Draft, EditedZone
from app.checks.engine.planned_resolver import PlannedResolver
from app.checks.engine.runner import run_checks
from app.checks.engine.types import CheckResult, Severity, Subject
from app.db import transactions
from app.db.transactions import transaction
from app.models import Domain
from app.ports.network import Network, NetworkSession, SessionFactory
from app.services.core import domain_lookup
from app.services.plans import drafts, email_effects
from app.services.plans.drafts import DraftSource
from app.services.plans.email_effects import CheckedDraft, EmailEffect
from app.services.scans import subjects


@dataclass(frozen=True, slots=True)
class Plan:
    """The effect of a draft on a domain.

    effect          the worst effect on any check
    worst_severity  the highest severity of what becomes worse; None if nothing does
    dns_changes     the record sets that checks read and that change, as JSON
    email           the effect on the email in stored reports; None if it was not requested
    """

    domain: Domain
    effect: Effect
    worst_severity: Severity | None
    checks: Sequence[CheckChange]
    dns_changes: Sequence[Mapping[str, Any]]
    email: EmailEffect | None


def plan(
    account_id: UUID, ref: str, source: DraftSource, network: Network, window: Window | None
) -> Plan:
    """Return what becomes better or worse once the draft is published.

    window   the period of the reports to apply the draft to; None for none
    raises   NotFound; InvalidRequest for a draft that cannot be read
    effects  none: nothing is stored
    """
    with transaction(readonly=True) as session:
        domain = domain_lookup.owned(session, account_id, ref)
        subject = subjects.load(session, [domain.id], transactions.now(session))[domain.id]
    draft = source.read(subject.domain)
    before, after = network.run(lambda new_session: _run(subject, source, draft, new_session))
    changes = plan_comparison.compare(before, after)
    email = None
    if window is not None:
        states = CheckedDraft(domain.name, before), CheckedDraft(domain.name, after)
        email = email_effects.measure(account_id, ref, window, states)
    return Plan(
        domain=domain,
        effect=plan_comparison.overall(changes),
        worst_severity=plan_comparison.worst_severity(changes),
        checks=changes,
        dns_changes=_dns_changes(before, after),
        email=email,
    )


async def _run(
    subject: Subject, source: DraftSource, draft: Draft, new_session: SessionFactory
) -> tuple[Sequence[CheckResult], Sequence[CheckResult]]:
    """The results of today's DNS and of the draft, in one network with shared answers."""
    if isinstance(draft, EditedZone) and (edits := await draft.unmatched(new_session())):
        raise drafts.unmatched(source, edits)
    planned = PlannedResolver(new_session(), draft)
    before, after = await asyncio.gather(
        _results(subject, new_session()),
        _results(await _without_moved(subject, planned), planned),
    )
    return before, after


async def _results(subject: Subject, session: NetworkSession) -> Sequence[CheckResult]:
    results = await run_checks(
        {0: subject},
        lambda: session,
        concurrency=1,
        seconds=settings.current().scan_seconds,
    )
    return results[0].check_results


async def _without_moved(subject: Subject, planned: PlannedResolver) -> Subject:
    """The subject without the TLS probes of hosts whose addresses the draft changes."""
    if not subject.tls_probes:
        return subject
    probes = {
        host: probe
        for host, probe in subject.tls_probes.items()
        if not await planned.is_moved(host)
    }
    return replace(subject, tls_probes=probes)


def _dns_changes(
    before: Sequence[CheckResult], after: Sequence[CheckResult]
) -> list[Mapping[str, Any]]:
    """The changed record sets, each once, without the check that read it."""
    old, new = (
        [stored_results.as_json(result) for result in results] for results in (before, after)
    )
    changes = {}
    for change in diff.diff(old, new)["dnsChanges"]:
        changes[change["name"], change["type"]] = {
            name: change[name] for name in ("name", "type", "before", "after")
        }
    return list(changes.values())
