"""The page with a domain's results of compliance profiles."""

from flask import Blueprint
from flask.typing import ResponseReturnValue

from app.services.domains import profiles
from app.web.base import pages

bp = Blueprint("profiles", __name__, url_prefix="/domains/<domain>/profiles")


@bp.get("")
def index(domain: str) -> ResponseReturnValue:
    """Show the result of each profile with its clauses, and what to do."""
    of_domain = profiles.results(pages.user_session().account_id, domain)
    return pages.render("profiles.html", domain=of_domain.domain, results=of_domain.results)
