"""Changes of several domains of the list, the tags of the account, and saved views."""

from collections.abc import Sequence
from typing import Any

from flask import Blueprint, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import ValidationError

from app import ids
from app.errors import InvalidRequest, NotFound
from app.protocols.quantities import quantity
from app.services.domain_status import domain_pages, saved_views
from app.services.domains import bulk_edits
from app.services.domains.bulk_edits import UndoStep
from app.services.scans import batches
from app.services.scans.batches import Selection
from app.web.base import notices, pages, submissions
from app.web.base.forms import BaseForm, ChoiceField, TextField, is_tag
from app.web.views.domains import domain_list
from app.web.views.domains.domain_forms import SCHEDULE_LABELS

bp = Blueprint("domain_bulk", __name__, url_prefix="/domains")

NOTHING_SELECTED = (
    "No domains were changed: none were selected. Select domains, then choose an action."
)
ACTIONS = {name: name for name in ("scan", "add_tag", "remove_tag", "schedule", "delete")}
TAG_ERROR = "Enter one tag of up to 50 characters, without commas."


class BulkForm(BaseForm):
    """Change the selected domains."""

    action = ChoiceField("Action", ACTIONS, "Choose an action for the selected domains.")
    new_tag = TextField("Tag", 50)
    schedule = ChoiceField("Scan schedule", {"": "Choose…", **SCHEDULE_LABELS})

    def validate_new_tag(self, field: TextField) -> None:
        """Check the tag if the action needs one."""
        if self.action.text in ("add_tag", "remove_tag") and not is_tag(field.text):
            raise ValidationError(TAG_ERROR)

    def validate_schedule(self, field: ChoiceField) -> None:
        """Check that there is a schedule if the action needs one."""
        if self.action.text == "schedule" and not field.text:
            raise ValidationError("Choose a scan schedule.")


class TagForm(BaseForm):
    """Rename a tag."""

    tag = TextField("Tag", 50)
    name = TextField("New name", 50)

    def validate_name(self, field: TextField) -> None:
        """Check the new name."""
        if not is_tag(field.text):
            raise ValidationError(TAG_ERROR)


@bp.post("/batch")
def change_many() -> ResponseReturnValue:
    """Change the selected domains, or all that match the filters."""
    names, form = _selected(), BulkForm.submitted()
    if not names:
        return notices.refuse(_back(), NOTHING_SELECTED)
    if not form.validate():
        return notices.refuse(_back(), next(message for f in form for message in f.errors))
    if len(names) > bulk_edits.MAX_DOMAINS:
        most = quantity(bulk_edits.MAX_DOMAINS, "domain")
        return notices.refuse(_back(), f"You can change up to {most} at once. Filter the list.")
    match form.action.text:
        case "scan":
            return _scan(names)
        case "delete":
            return _confirm_deletion(names)
        case _:
            return _edit(names, form)


@bp.post("/delete")
def delete_many() -> ResponseReturnValue:
    """Delete the domains of the confirmation page."""
    user, names = pages.user_session(), request.form.getlist("name")[: bulk_edits.MAX_DELETED]
    if not names or not notices.is_confirmed(str(len(names))):
        entered = quantity(len(names), "domain")
        message = f"Nothing was deleted. Enter {len(names)} to delete {entered}."
        return notices.refuse(url_for("web.domains.index"), message)
    deleted = bulk_edits.delete(user.account_id, names, actor=user.actor)
    message = f"{quantity(len(deleted.names), 'domain')} and their data were deleted."
    return notices.redirect(url_for("web.domains.index"), " ".join([message, *deleted.errors]))


@bp.get("/tags")
def tags() -> ResponseReturnValue:
    """List the account's tags, with forms to rename and to remove them."""
    return pages.render("domain_tags.html", tags=domain_pages.tags(pages.user_session().account_id))


@bp.post("/tags")
def rename_tag() -> ResponseReturnValue:
    """Rename a tag, or merge it with the one that has this name."""
    user, form, url = pages.user_session(), TagForm.submitted(), url_for(".tags")
    if not form.validate():
        return notices.refuse(url, TAG_ERROR)
    old, new = form.tag.text, form.name.text
    steps = bulk_edits.rename_tag(user.account_id, old, new, actor=user.actor)
    return _edited(url, steps, f"“{old}” was renamed to “{new}” on {_count(steps)}.")


@bp.post("/tags/remove")
def remove_tag() -> ResponseReturnValue:
    """Remove a tag from all domains."""
    user, tag, url = pages.user_session(), request.form.get("tag", "")[:50], url_for(".tags")
    steps = bulk_edits.rename_tag(user.account_id, tag, None, actor=user.actor)
    return _edited(url, steps, f"“{tag}” was removed from {_count(steps)}.")


@bp.post("/views")
def save_view() -> ResponseReturnValue:
    """Save the filters and the order of the list under a name."""
    filters = domain_list.set_filters(domain_list.filters_of_request())
    url, name = url_for("web.domains.index", **filters), request.form.get("name", "").strip()
    try:
        saved_views.save(pages.user_session().user_id, name, filters)
    except InvalidRequest as error:
        return notices.refuse(url, f"{error.extra['details'][0]['message']}.")
    return notices.redirect(url, f"The view “{name}” was saved.")


@bp.post("/views/<id>/delete")
def delete_view(id: str) -> ResponseReturnValue:
    """Delete a saved view."""
    view_id = ids.parse("view", id)
    if view_id is None:
        raise NotFound
    view = saved_views.remove(pages.user_session().user_id, view_id)
    url = url_for("web.domains.index")
    undo = {"kind": "view", "url": url, "name": view.name, "filters": view.filters}
    return notices.redirect(url, f"The view “{view.name}” was deleted.", undo=undo)


def _selected() -> Sequence[str]:
    """Return the selected names, or those of all domains that match the filters."""
    if request.form.get("scope") != "all":
        return request.form.getlist("name")[: domain_pages.PAGE_SIZE]
    filters = domain_list.selection(domain_list.filters_of_request())
    return domain_pages.matching_names(pages.user_session().account_id, filters)


def _back() -> str:
    filters = domain_list.set_filters(domain_list.filters_of_request())
    return url_for("web.domains.index", **filters)


def _scan(names: Sequence[str]) -> ResponseReturnValue:
    user = pages.user_session()
    batches.trigger(user.account_id, Selection(refs=names), actor=user.actor)
    return notices.redirect(_back(), f"{quantity(len(names), 'scan')} started.")


def _edit(names: Sequence[str], form: BulkForm) -> ResponseReturnValue:
    user, tag, schedule = pages.user_session(), form.new_tag.text, form.schedule.text
    account_id, actor = user.account_id, user.actor
    match form.action.text:
        case "add_tag":
            steps = bulk_edits.add_tag(account_id, names, tag, actor=actor)
            message = f"“{tag}” was added to {_count(steps)}."
        case "remove_tag":
            steps = bulk_edits.remove_tag(account_id, names, tag, actor=actor)
            message = f"“{tag}” was removed from {_count(steps)}."
        case _:
            steps = bulk_edits.set_schedule(account_id, names, schedule, actor=actor)
            label = SCHEDULE_LABELS[schedule].lower()
            message = f"The scan schedule of {_count(steps)} was changed to {label}."
    return _edited(_back(), steps, message)


def _edited(url: str, steps: Sequence[UndoStep], message: str) -> ResponseReturnValue:
    if not steps:
        return notices.refuse(url, "No domains were changed: they already had this setting.")
    return notices.redirect(url, message, undo={"kind": "domains", "url": url, "steps": steps})


def _confirm_deletion(names: Sequence[str]) -> ResponseReturnValue:
    """Show the selected domains on a page of their own, which asks for their number."""
    if len(names) > bulk_edits.MAX_DELETED:
        message = f"You can delete up to {bulk_edits.MAX_DELETED} domains at once."
        return notices.refuse(_back(), message)

    def page() -> dict[str, Any]:
        return {"names": names, "count": str(len(names)), "notice": "Confirm the deletion."}

    return submissions.process("domains_to_delete", page)


def _count(steps: Sequence[UndoStep]) -> str:
    return quantity(len(steps), "domain")
