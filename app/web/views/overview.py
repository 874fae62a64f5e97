"""The first page: how the account stands, and what to do next."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.services.domains import dashboard
from app.web.base import charts, pages

bp = Blueprint("overview", __name__)

DAYS = 30
GRADES = ("A", "B", "C", "D", "F", "")


@bp.get("/")
def index() -> ResponseReturnValue:
    """All domains at a glance."""
    account = pages.user_session().account_id
    found = dashboard.of_account(account)
    days = dashboard.mail(account, DAYS)
    return pages.render(
        "overview.html",
        overview=found,
        grades=[(grade, found.grades.get(grade, 0)) for grade in GRADES],
        trends=dashboard.trends(account, [row.id for row in found.lowest]),
        steps=dashboard.first_steps(account),
        mail=charts.stacked(("pass", "fail"), [(f"{day:%d %b}", counts) for day, counts in days]),
    )
