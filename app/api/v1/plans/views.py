"""The plan routes: what draft records would change."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from flask import Blueprint, Response, current_app

from app import ids, wall_clock
from app.analysis.mail import periods
from app.analysis.mail.periods import Window
from app.analysis.policy.draft_effect import AffectedSource, SpfLoss
from app.analysis.scan.plan_comparison import CheckChange, FindingChange
from app.api.http import responses, slots
from app.api.http.auth import current
from app.api.http.endpoint import endpoint
from app.api.v1.plans import schemas
from app.errors import InvalidRequest
from app.models.keys import Scope
from app.services.plans import plans
from app.services.plans.drafts import (
    ChangedRecords,
    DraftSource,
    OctodnsText,
    RecordList,
    ZoneFileText,
)
from app.services.plans.email_effects import DmarcEffect, EmailEffect
from app.services.scans import serialization

bp = Blueprint("plans", __name__, url_prefix="/domains/<domain>")

REPORT_DAYS = 30
MAX_SOURCES = 50


@bp.post("/plan")
@endpoint(scopes=(Scope.DOMAINS_READ,), body=schemas.PlanBody, returns=schemas.Plan)
def create(domain: str, body: schemas.PlanBody) -> Response:
    """Plan a DNS change: compare draft records with today's DNS."""
    to_at = wall_clock.now()
    window = None
    if Scope.REPORTS_READ in current().scopes:
        window = Window.between(to_at - timedelta(days=REPORT_DAYS), to_at)
    with slots.evaluation():
        result = plans.plan(
            current().account_id, domain, _source(body), current_app.extensions["network"], window
        )
    return responses.item(
        {
            "domainId": ids.public("dom", result.domain.id),
            "domainName": result.domain.name,
            "effect": result.effect,
            "worstSeverity": result.worst_severity,
            "dnsChanges": result.dns_changes,
            "checks": [_check(change) for change in result.checks],
            "email": _email(result.email) if result.email else None,
        }
    )


def _source(body: schemas.PlanBody) -> DraftSource:
    """The draft in the request.

    raises  InvalidRequest unless there is exactly one
    """
    sources: list[DraftSource] = []
    if body.zone_file is not None:
        sources.append(ZoneFileText(body.zone_file))
    if body.octodns is not None:
        sources.append(OctodnsText(body.octodns))
    if body.records is not None:
        changes = [
            ChangedRecords(
                action=change.action,
                name=change.name,
                type=change.type,
                values=change.values,
                ttl=change.ttl,
            )
            for change in body.records
        ]
        sources.append(RecordList(changes))
    if len(sources) != 1:
        raise InvalidRequest.field("body", "send one of zoneFile, octodns and records")
    return sources[0]


def _check(change: CheckChange) -> dict[str, Any]:
    return {
        "check": change.check,
        "effect": change.effect,
        "before": change.before.verdict,
        "after": change.after.verdict,
        "reason": change.after.reason or change.before.reason,
        "findings": [_finding(finding) for finding in change.findings],
    }


def _finding(change: FindingChange) -> dict[str, Any]:
    return {
        **serialization.finding(change.finding),
        "effect": change.effect,
        "severityBefore": change.before.severity if change.before else None,
        "severityAfter": change.after.severity if change.after else None,
    }


def _email(effect: EmailEffect) -> dict[str, Any]:
    losses = effect.spf_losses
    return {
        "from": responses.time(periods.at(effect.window.start)),
        "to": responses.time(periods.at(effect.window.stop)),
        "messages": effect.messages,
        "days": effect.days,
        "reporters": effect.reporters,
        "pendingReports": effect.pending_reports,
        "spfLosses": None if losses is None else [_loss(loss) for loss in losses],
        "policy": _policy(effect.policy) if effect.policy else None,
    }


def _loss(loss: SpfLoss) -> dict[str, Any]:
    return {
        "source": loss.source.key,
        "name": loss.source.service.name,
        "classification": loss.source.kind,
        "messages": loss.messages,
        "uncertain": loss.uncertain,
        "addresses": [
            {"address": address, "messages": messages} for address, messages in loss.top_addresses
        ],
    }


def _policy(effect: DmarcEffect) -> dict[str, Any]:
    return {
        "before": asdict(effect.before),
        "after": asdict(effect.after),
        "affectedBefore": effect.email.before.affected,
        "affectedAfter": effect.email.after.affected,
        "uncertain": effect.email.after.uncertain.total(),
        "confidence": effect.confidence,
        "sources": [_affected(source) for source in effect.email.sources[:MAX_SOURCES]],
    }


def _affected(affected: AffectedSource) -> dict[str, Any]:
    return {
        "source": affected.source.key,
        "name": affected.source.service.name,
        "classification": affected.source.kind,
        "affectedBefore": affected.before,
        "affectedAfter": affected.after,
    }
