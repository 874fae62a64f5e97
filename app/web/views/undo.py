"""The button in a notice that undoes the change."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Blueprint, abort, g
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter

from app.errors import NotFound
from app.protocols.quantities import quantity
from app.services.alerts import alert_notes, alerts
from app.services.alerts.alerts import UndoStep
from app.services.analytics import sources
from app.services.analytics.sources import ManualClassification
from app.services.domain_status import saved_views, share_links
from app.services.domains import bulk_edits
from app.services.people import preferences
from app.services.sign_in import form_results
from app.services.weekly import schedules as weekly
from app.services.weekly.schedules import Schedule
from app.web.base import notices, pages

bp = Blueprint("undo", __name__, url_prefix="/undo")

OWN_SETTINGS = frozenset({"time_zone", "view"})  # kinds that every role can undo
_STEPS = TypeAdapter(list[UndoStep])
_ASSIGNMENTS = TypeAdapter(list[alert_notes.Assignment])
_DOMAIN_STEPS = TypeAdapter(list[bulk_edits.UndoStep])
_SCHEDULE: TypeAdapter[Schedule | None] = TypeAdapter(Schedule | None)
_CLASSIFICATION = TypeAdapter(ManualClassification)


@bp.post("/<id>")
def undo(id: str) -> ResponseReturnValue:
    """Undo a change of this session, once."""
    result = form_results.read(g.session_token, id[:64], repeatable=frozenset())
    if result.kind != notices.UNDO:
        raise NotFound
    if result.values is None:
        return notices.refuse(pages.safe_path("/"), "This change was already undone.")
    values, url = result.values, pages.safe_path(result.values["url"])
    if values["kind"] not in OWN_SETTINGS and not pages.user_session().is_at_least("member"):
        abort(403, "Your role can't undo this. Ask a member or an admin.")
    return _UNDO[values["kind"]](url, values)


def _undo_alerts(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    user, steps = pages.user_session(), _STEPS.validate_python(values["steps"])
    restored = alerts.undo(user.account_id, steps, actor=user.actor)
    if restored == 0:
        return notices.refuse(url, "Nothing was undone, because the alerts have changed since.")
    return notices.redirect(url, f"Undone: {quantity(restored, 'alert')} restored.")


def _undo_assignments(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    user, steps = pages.user_session(), _ASSIGNMENTS.validate_python(values["steps"])
    restored = alert_notes.undo(user.account_id, steps, actor=user.actor)
    if restored == 0:
        return notices.refuse(url, "Nothing was undone, because the alerts have changed since.")
    return notices.redirect(url, f"Undone: {quantity(restored, 'alert')} restored.")


def _undo_domains(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    user, steps = pages.user_session(), _DOMAIN_STEPS.validate_python(values["steps"])
    restored = bulk_edits.undo(user.account_id, steps, actor=user.actor)
    if restored == 0:
        return notices.refuse(url, "Nothing was undone, because the domains have changed since.")
    return notices.redirect(url, f"Undone: {quantity(restored, 'domain')} restored.")


def _undo_classification(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    user = pages.user_session()
    classification = _CLASSIFICATION.validate_python(values["classification"])
    sources.classify(user.account_id, values["domain"], classification, actor=user.actor)
    return notices.redirect(url, f"Undone: the classification of {classification.source}.")


def _undo_view(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    saved_views.save(pages.user_session().user_id, values["name"], values["filters"])
    return notices.redirect(url, f"Undone: the view “{values['name']}” is back.")


def _undo_time_zone(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    preferences.set_time_zone(pages.user_session(), values["time_zone"])
    return notices.redirect(url, "Undone: the previous time zone is back.")


def _undo_weekly(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    if not pages.can("web.weekly.change"):
        abort(403, "Your role can't undo this. Ask an admin.")
    user, schedule = pages.user_session(), _SCHEDULE.validate_python(values["schedule"])
    weekly.change(user.account_id, values["channel"], schedule, actor=user.actor)
    return notices.redirect(url, "Undone: the previous weekly summary is back.")


def _undo_share_link(url: str, values: Mapping[str, Any]) -> ResponseReturnValue:
    user = pages.user_session()
    share_links.restore(user.account_id, values["domain"], values["id"], actor=user.actor)
    return notices.redirect(url, "Undone: the share link opens again.")


_UNDO: Mapping[str, Callable[[str, Mapping[str, Any]], ResponseReturnValue]] = {
    "alerts": _undo_alerts,
    "assignments": _undo_assignments,
    "domains": _undo_domains,
    "view": _undo_view,
    "time_zone": _undo_time_zone,
    "weekly": _undo_weekly,
    "share_link": _undo_share_link,
    "source": _undo_classification,
}
