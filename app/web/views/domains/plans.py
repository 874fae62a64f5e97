"""The page on which a user tries a DNS change before publishing it."""

from datetime import timedelta
from typing import Any

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue

from app import wall_clock
from app.analysis.mail.periods import Window
from app.analysis.scan.plan_comparison import CheckChange, Effect
from app.errors import InvalidRequest
from app.limits.concurrency import Slots
from app.services.api_keys import account_limits
from app.services.core import domain_lookup
from app.services.plans import plans
from app.services.plans.drafts import ChangedLines, DraftSource, OctodnsText, ZoneFileText
from app.services.plans.plans import Plan
from app.services.scans import serialization
from app.web.base import pages
from app.web.base.forms import BaseForm, ChoiceField, LongTextField

bp = Blueprint("plans", __name__, url_prefix="/domains/<domain>/try")

MAX_TEXT = 256 * 1024
REPORT_DAYS = 30
EVALUATION_SECONDS = 120  # after which the slot is free again if its process was killed
KINDS = {
    "changes": "Single records, as lines of a zone file",
    "zone": "The whole zone, as a zone file",
    "octodns": "The whole zone, as octoDNS YAML",
}


class PlanForm(BaseForm):
    """A draft to try."""

    kind = ChoiceField("What you enter", KINDS, default="changes")
    text = LongTextField(
        "Records",
        MAX_TEXT,
        description="Single records: a line without a sign replaces all records of its name and "
        "type, + adds a record, and - removes one. A whole zone replaces all records at and below "
        "the domain.",
        render_kw={
            "required": True,
            "rows": 10,
            "autocapitalize": "none",
            "spellcheck": "false",
            "placeholder": "www 3600 A 192.0.2.1\n+ @ MX 20 mx2.example.org.\n- old._domainkey TXT",
        },
    )

    def source(self) -> DraftSource:
        """Return the draft; call ``check`` first."""
        if self.kind.text == "zone":
            return ZoneFileText(self.text.text, "text")
        if self.kind.text == "octodns":
            return OctodnsText(self.text.text, "text")
        return ChangedLines(self.text.text, "text")


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """Show the form."""
    row = domain_lookup.find(pages.user_session().account_id, domain)
    return pages.render("plan.html", domain=row, form=PlanForm(), plan=None)


@bp.post("")
def create(domain: str) -> ResponseReturnValue:
    """Show what becomes better or worse with the draft; nothing is stored."""
    account_id, form = pages.user_session().account_id, PlanForm.submitted()
    try:
        form.check()
        plan = _plan(domain, form.source())
    except InvalidRequest as error:
        form.add_errors(error, otherwise="text")
        row = domain_lookup.find(account_id, domain)
        return pages.render("plan.html", error.status, domain=row, form=form, plan=None)
    return pages.render(
        "plan.html",
        domain=plan.domain,
        form=form,
        plan=plan,
        changes=[_check(change) for change in plan.checks if change.effect is not Effect.UNCHANGED],
        unchanged=[change.check for change in plan.checks if change.effect is Effect.UNCHANGED],
    )


def _plan(domain: str, source: DraftSource) -> Plan:
    account_id, now = pages.user_session().account_id, wall_clock.now()
    limit = account_limits.find(account_id).concurrent_evaluations
    slots: Slots = current_app.extensions["slots"]
    window = Window.between(now - timedelta(days=REPORT_DAYS), now)
    with slots.acquire("evaluation", str(account_id), limit, EVALUATION_SECONDS):
        return plans.plan(account_id, domain, source, current_app.extensions["network"], window)


def _check(change: CheckChange) -> dict[str, Any]:
    return {
        "check": change.check,
        "effect": change.effect.value,
        "before": change.before.verdict.value,
        "after": change.after.verdict.value,
        "reason": change.after.reason or change.before.reason,
        "findings": [
            {**serialization.finding(finding.finding), "effect": finding.effect.value}
            for finding in change.findings
            if finding.effect is not Effect.UNCHANGED
        ],
    }
