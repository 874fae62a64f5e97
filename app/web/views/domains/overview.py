"""The overview page: the state of the account, and what to do next."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.services.domain_status import dashboard
from app.web.base import charts, pages

bp = Blueprint("overview", __name__)

DAYS = 30
GRADES = ("A", "B", "C", "D", "F", "")


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show all domains at a glance."""
    summary = dashboard.of_account(pages.user_session().account_id, DAYS)
    days = [(f"{day:%d %b}", counts) for day, counts in summary.email]
    return pages.render(
        "overview.html",
        overview=summary,
        grades=[(grade, summary.grades.get(grade, 0)) for grade in GRADES],
        trends=summary.trends,
        steps=summary.first_steps,
        mail=charts.stacked(("pass", "fail"), days),
    )
