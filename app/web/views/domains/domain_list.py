"""The list of domains, and the forms to add domains."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue

from app.checks.engine.types import Usage
from app.errors import Conflict, InvalidRequest
from app.protocols.quantities import quantity
from app.services.domain_status import domain_pages, domain_table
from app.services.domain_status.domain_list import DomainFilter
from app.services.domains import domains
from app.services.domains.domains import NewDomain
from app.services.scans import batches, scans
from app.services.scans.batches import Selection
from app.web.base import notices, pages, query, record_lists, submissions
from app.web.views.domains.domain_forms import SCHEDULE_LABELS, NewDomainForm, NewDomainsForm

bp = Blueprint("domains", __name__, url_prefix="/domains")

GRADES = ("A", "B", "C", "D", "F")
POLICIES = {
    "reject": "p=reject",
    "quarantine": "p=quarantine",
    "none": "p=none",
    "missing": "No policy",
}
STATES = {
    "alerts": "With open alerts",
    "unscanned": "Not scanned yet",
    "failed": "Last scan failed",
    "silent": "No DMARC reports in 30 days",
}
PROFILE_RESULTS = {"fail": "Fails", "pass": "Passes", "undetermined": "Undetermined"}
DEFAULT_SORT = "score"
# The columns of the table: the order of the first click, its label, and that of the other one.
COLUMNS = {
    "name": ("Domain", "name", "Name, A to Z", "Name, Z to A"),
    "policy": ("Policy", "policy", "Policy, weakest first", "Policy, strictest first"),
    "rate": ("DMARC pass", "rate", "DMARC pass rate, low to high", "DMARC pass rate, high to low"),
    "volume": ("Messages", "-volume", "Messages, fewest first", "Messages, most first"),
    "alerts": ("Open alerts", "-alerts", "Open alerts, fewest first", "Open alerts, most first"),
    "score": ("Score", "score", "Score, low to high", "Score, high to low"),
    "trend": ("Trend", "trend", "Trend, largest drop first", "Trend, largest rise first"),
    "lastScan": ("Last scan", "lastScan", "Last scan, oldest first", "Last scan, newest first"),
}
SORTS = {
    "-createdAt": "Newest first",
    **{name: texts[2] for name, texts in COLUMNS.items()},
    **{f"-{name}": texts[3] for name, texts in COLUMNS.items()},
}


@dataclass(frozen=True, slots=True)
class Heading:
    """The heading of a column; ``url`` is the list in its order, ``aria_sort`` the order now."""

    name: str
    label: str
    url: str
    aria_sort: str


@bp.get("")
def index() -> ResponseReturnValue:
    """List the account's domains, with a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Add a domain and scan it."""
    user, form = pages.user_session(), NewDomainForm.submitted()
    try:
        form.check()
        new = NewDomain(form.name.text, Usage(form.usage.text))
        domain = domains.create(user.account_id, new, actor=user.actor)
    except (Conflict, InvalidRequest) as error:
        form.add_errors(error, otherwise="name")
        return _list(error.status, form, error.extra.get("existingId"))
    scans.trigger(user.account_id, domain.name, actor=user.actor, trigger="dashboard")
    message = f"{domain.name} was added. Its first scan is running."
    return notices.redirect(url_for(".show", domain=domain.name), message)


@bp.get("/add")
def add() -> ResponseReturnValue:
    """Show the form to add multiple domains."""
    return pages.render("domains_add.html", form=NewDomainsForm())


@bp.post("/add")
def create_many() -> ResponseReturnValue:
    """Add multiple domains and scan them; the next page shows the result of each."""
    user, form = pages.user_session(), NewDomainsForm.submitted()
    if not form.validate():
        return pages.render("domains_add.html", 400, form=form)
    values = form.settings()
    new = [NewDomain(name[:1000], **values) for name in dict.fromkeys(form.split_names())]

    def create_all() -> dict[str, Any]:
        added = domains.create_many(user.account_id, new, actor=user.actor)
        if added.created:
            selection = Selection(refs=added.created)
            batches.trigger(user.account_id, selection, actor=user.actor)
        rejected = [(row.name, row.error.message) for row in added.results if row.error]
        return {
            "added": added.created,
            "rejected": rejected,
            "total": len(added.results),
            "notice": f"{quantity(len(added.created), 'domain')} added.",
        }

    return submissions.process("domains", create_all)


@bp.get("/first-scans")
def first_scans() -> ResponseReturnValue:
    """Show the progress of first scans; the list polls this until they are finished."""
    progress = domain_pages.first_scans(pages.user_session().account_id)
    return pages.render("first_scans.html", progress=progress, is_polled=True)


@bp.get("/file")
def file() -> ResponseReturnValue:
    """Download the list with its filters and order."""
    filters = selection(filters_of_request())
    listing = domain_pages.file(pages.user_session().account_id, filters)
    return record_lists.file(
        listing, domain_table.of_file, domain_table.FILE_COLUMNS, name="domains"
    )


def filters_of_request() -> dict[str, str]:
    """Return the filters of the list; invalid values are reported on the page."""
    profile, result = query.text("profile", 50), query.choice("profileResult", PROFILE_RESULTS)
    return {
        "q": query.text("q"),
        "tag": query.text("tag", 50),
        "policy": query.choice("policy", POLICIES),
        "state": query.choice("state", STATES),
        "grade": query.choice("grade", GRADES),
        "profile": profile,
        "profileResult": (result or "fail") if profile else "",
        "sort": query.choice("sort", SORTS, DEFAULT_SORT),
    }


def set_filters(filters: Mapping[str, str]) -> dict[str, Any]:
    """Return the filters that have a value, for the address of the list."""
    return {name: value for name, value in filters.items() if value}


def selection(filters: Mapping[str, str]) -> DomainFilter:
    """Return the filters by their names in the service."""
    return DomainFilter(
        q=filters["q"] or None,
        tag=filters["tag"] or None,
        policy=filters["policy"] or None,
        state=filters["state"] or None,
        grade=filters["grade"] or None,
        profile=filters["profile"] or None,
        profile_result=filters["profileResult"] or None,
        sort=filters["sort"],
    )


def _list(
    status: int = 200, form: NewDomainForm | None = None, existing: str | None = None
) -> ResponseReturnValue:
    """Render the list; ``existing`` is the id of a domain that could not be added a second time."""
    filters, user = filters_of_request(), pages.user_session()
    cursor = pages.Paging(filters)
    page = domain_pages.listing(
        user.account_id, user.user_id, selection(filters), cursor.cursor_values
    )
    others = {name: value for name, value in set_filters(filters).items() if name != "sort"}
    return pages.render(
        "domains.html",
        status,
        page=page,
        following=cursor.following(page.cursor_values),
        filters=set_filters(filters),
        others=others,
        headings=[_heading(name, filters["sort"], others) for name in COLUMNS],
        sorts=_sorts(filters["sort"]),
        grades=GRADES,
        policies=POLICIES,
        states=STATES,
        schedules=SCHEDULE_LABELS,
        profile_results=PROFILE_RESULTS,
        existing=existing,
        form=form or NewDomainForm(),
        is_adding=form is not None or not page.has_domains or query.text("add", 1) == "1",
    )


def _heading(name: str, sort: str, others: Mapping[str, Any]) -> Heading:
    """Return the heading; the order of the column that the list is in is turned around."""
    label, first, *_ = COLUMNS[name]
    is_current = sort.removeprefix("-") == name
    target = first
    if is_current:
        target = name if sort.startswith("-") else f"-{name}"
    return Heading(
        name=name,
        label=label,
        url=url_for(".index", **{**others, "sort": target}),
        aria_sort=("descending" if sort.startswith("-") else "ascending") if is_current else "",
    )


def _sorts(sort: str) -> dict[str, str]:
    """Return the orders to choose from: that of the first click of each column, and this one."""
    names = [*(first for _, first, *_ in COLUMNS.values()), "-createdAt"]
    return {name: SORTS[name] for name in dict.fromkeys([*names, sort])}
