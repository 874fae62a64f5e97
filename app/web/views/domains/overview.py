"""The overview page: the state of the account, and what to do next."""

from datetime import date
from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.services.domain_status import dashboard
from app.services.domain_status.recent_changes import ChangeKind, RecentChange
from app.services.people import preferences
from app.web import pass_rate_chart
from app.web.base import charts, notices, pages

bp = Blueprint("overview", __name__)

DAYS = 30
GRADES = ("A", "B", "C", "D", "F", "")
POLICIES = {  # by policy: its label, and the color of its bar
    "reject": ("p=reject", "s-ok"),
    "quarantine": ("p=quarantine", "s-limited"),
    "none": ("p=none", "s-error"),
    "missing": ("No policy", "s-fail"),
    "": ("Not determined yet", "s-none"),
}


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show all domains at a glance."""
    summary = dashboard.of_account(pages.user_session().account_id, DAYS)
    days = [(f"{day:%d %b}", counts) for day, counts in summary.email]
    return pages.render(
        "overview.html",
        overview=summary,
        grades=[(grade, summary.grades.get(grade, 0)) for grade in GRADES],
        policies=[(key, *POLICIES[key], summary.policies.get(key, 0)) for key in POLICIES],
        trends=summary.trends,
        steps=summary.first_steps,
        mail=charts.stacked(("pass", "fail"), days),
        mail_links=[{"": _reports_url(day)} for day, _ in summary.email],
        pass_rates=pass_rate_chart.draw(summary.email),
        changes=[(change, _url(change)) for change in summary.recent.listed],
    )


def _reports_url(day: date) -> str:
    """Return the URL of the list of the reports that begin on this day (UTC)."""
    period: dict[str, Any] = {"from": day.isoformat(), "to": day.isoformat()}
    return url_for("web.reports.dmarc", **period)


def _url(change: RecentChange) -> str:
    """Return the URL of the page that shows the change."""
    if change.alert_id is not None:
        return url_for("web.alerts.show", id=ids.public("alert", change.alert_id))
    if change.kind is ChangeKind.RECORD:
        return url_for("web.domains.history", domain=change.domain)
    return url_for("web.domains.show", domain=change.domain, _anchor=f"check-{change.check}")


@bp.post("/first-steps/hide")
def hide_steps() -> ResponseReturnValue:
    """Hide the first steps for this user."""
    preferences.hide_first_steps(pages.user_session(), is_hidden=True)
    message = "Getting started is hidden. You can show it again under Settings, Account."
    return notices.redirect(url_for(".index"), message)


@bp.post("/first-steps/show")
def show_steps() -> ResponseReturnValue:
    """Show the first steps to this user again."""
    preferences.hide_first_steps(pages.user_session(), is_hidden=False)
    return notices.redirect(url_for(".index"), "Getting started is shown again.")
