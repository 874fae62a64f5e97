"""The button in a notice that undoes the change."""

from typing import Any

from flask import Blueprint, g
from flask.typing import ResponseReturnValue
from pydantic import TypeAdapter

from app.errors import NotFound
from app.protocols.quantities import quantity
from app.services.alerts import alert_notes, alerts
from app.services.alerts.alerts import UndoStep
from app.services.analytics import sources
from app.services.analytics.sources import ManualClassification
from app.services.domain_status import saved_views
from app.services.domains import bulk_edits
from app.services.sign_in import form_results
from app.web.base import notices, pages

bp = Blueprint("undo", __name__, url_prefix="/undo")

_STEPS = TypeAdapter(list[UndoStep])
_ASSIGNMENTS = TypeAdapter(list[alert_notes.Assignment])
_DOMAIN_STEPS = TypeAdapter(list[bulk_edits.UndoStep])
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
    if values["kind"] == "alerts":
        return _undo_alerts(url, values["steps"])
    if values["kind"] == "assignments":
        return _undo_assignments(url, values["steps"])
    if values["kind"] == "domains":
        return _undo_domains(url, values["steps"])
    if values["kind"] == "view":
        saved_views.save(pages.user_session().user_id, values["name"], values["filters"])
        return notices.redirect(url, f"Undone: the view “{values['name']}” is back.")
    return _undo_classification(url, values["domain"], values["classification"])


def _undo_alerts(url: str, stored: Any) -> ResponseReturnValue:
    user, steps = pages.user_session(), _STEPS.validate_python(stored)
    restored = alerts.undo(user.account_id, steps, actor=user.actor)
    if restored == 0:
        return notices.refuse(url, "Nothing was undone, because the alerts have changed since.")
    return notices.redirect(url, f"Undone: {quantity(restored, 'alert')} restored.")


def _undo_assignments(url: str, stored: Any) -> ResponseReturnValue:
    user, steps = pages.user_session(), _ASSIGNMENTS.validate_python(stored)
    restored = alert_notes.undo(user.account_id, steps, actor=user.actor)
    if restored == 0:
        return notices.refuse(url, "Nothing was undone, because the alerts have changed since.")
    return notices.redirect(url, f"Undone: {quantity(restored, 'alert')} restored.")


def _undo_domains(url: str, stored: Any) -> ResponseReturnValue:
    user, steps = pages.user_session(), _DOMAIN_STEPS.validate_python(stored)
    restored = bulk_edits.undo(user.account_id, steps, actor=user.actor)
    if restored == 0:
        return notices.refuse(url, "Nothing was undone, because the domains have changed since.")
    return notices.redirect(url, f"Undone: {quantity(restored, 'domain')} restored.")


def _undo_classification(url: str, domain: str, stored: Any) -> ResponseReturnValue:
    user, classification = pages.user_session(), _CLASSIFICATION.validate_python(stored)
    sources.classify(user.account_id, domain, classification, actor=user.actor)
    return notices.redirect(url, f"Undone: the classification of {classification.source}.")
