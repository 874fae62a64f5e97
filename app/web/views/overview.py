"""The overview page: the state of the account, and what to do next."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.services.domains import dashboard
from app.web.base import charts, pages

bp = Blueprint("overview", __name__)

DAYS = 30
GRADES = ("A", "B", "C", "D", "F", "")


@bp.get("/")
def index() -> ResponseReturnValue:
    """Show all domains at a glance."""
    account = pages.user_session().account_id
    summary = dashboard.of_account(account)
    days = dashboard.mail(account, DAYS)
    return pages.render(
        "overview.html",
        overview=summary,
        grades=[(grade, summary.grades.get(grade, 0)) for grade in GRADES],
        trends=dashboard.trends(account, [row.id for row in summary.lowest]),
        steps=dashboard.first_steps(account),
        mail=charts.stacked(("pass", "fail"), [(f"{day:%d %b}", counts) for day, counts in days]),
    )
