"""The first page: how the account stands, and what to do next."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.services import overview
from app.web import charts, pages

bp = Blueprint("overview", __name__)

DAYS = 30
GRADES = ("A", "B", "C", "D", "F", "")


@bp.get("/")
def index() -> ResponseReturnValue:
    """All domains at a glance."""
    account = pages.visitor().account_id
    found = overview.of_account(account)
    days = overview.mail(account, DAYS)
    return pages.render(
        "overview.html",
        overview=found,
        grades=[(grade, found.grades.get(grade, 0)) for grade in GRADES],
        trends=overview.trends(account, [row.id for row in found.worst]),
        steps=overview.first_steps(account),
        mail=charts.stacked(("pass", "fail"), [(f"{day:%d %b}", counts) for day, counts in days]),
    )
