"""Pages about mailboxes that reports are fetched from: the list, one mailbox, and changes."""

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.errors import Conflict, InvalidRequest, NotFound, ServiceUnavailable
from app.mailboxes import registry
from app.mailboxes.config import MailboxConfig
from app.mailboxes.registry import MAILBOX_TYPES
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.services.core.encryption import DecryptionError
from app.services.mailboxes import mailboxes, setup
from app.web.base import notices, pages
from app.web.base.option_forms import OptionForm, details_of, form_of

bp = Blueprint("mailboxes", __name__, url_prefix="/settings/mailboxes")

MESSAGES = {
    "added": "The connection test passed, and the mailbox was added. It is polled within a minute.",
    "changed": "The connection test passed, and the changes were saved.",
    "test": "The connection test passed: mailwatch opened the mailbox.",
    "paused": "The mailbox is paused. Resume it to fetch reports again.",
    "resumed": "The mailbox is polled again.",
}
MAX_SHOWN = 50  # skipped messages on the page of a mailbox


@bp.get("")
def index() -> ResponseReturnValue:
    """List the mailboxes, with the types that can be added."""
    rows = mailboxes.search(pages.user_session().account_id)
    configs = [(row, registry.stored(row.type, row.options, {})) for row in rows]
    types = [type for type in MAILBOX_TYPES.values() if not type.is_operator_only]
    return pages.render("mailboxes.html", mailboxes=configs, types=types)


@bp.get("/new/<type>")
def new(type: str) -> ResponseReturnValue:
    """Show the form for a new mailbox of a type."""
    config_type = _type(type)
    return _new(config_type, form_of(config_type, OptionForm)())


@bp.post("/new/<type>")
def create(type: str) -> ResponseReturnValue:
    """Test the connection to the mailbox, and add it."""
    config_type = _type(type)
    user, form = pages.user_session(), form_of(config_type, OptionForm).submitted()
    try:
        network = current_app.extensions["network"]
        row = setup.add(user.account_id, form.config(), network, actor=user.actor)
    except MailboxError as error:
        return _new(config_type, form, 400, str(error))
    except (InvalidRequest, Conflict, ServiceUnavailable) as error:
        form.add_errors(error, otherwise=form.first_name)
        return _new(config_type, form, error.status)
    return _done(_public(row), "added")


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show a mailbox with its status, and a form to change it."""
    return _show(_row(id))


@bp.post("/<id>")
def update(id: str) -> ResponseReturnValue:
    """Test the connection with the changed options, and store them."""
    row, user = _row(id), pages.user_session()
    form = form_of(_type(row.type), OptionForm).submitted()
    try:
        network = current_app.extensions["network"]
        setup.change(row, form.config(), network, actor=user.actor)
    except (MailboxError, DecryptionError) as error:
        return _show(row, 400, form, str(error))
    except (InvalidRequest, Conflict, ServiceUnavailable) as error:
        form.add_errors(error, otherwise=form.first_name)
        return _show(row, error.status, form)
    return _done(id, "changed")


@bp.post("/<id>/test")
def test(id: str) -> ResponseReturnValue:
    """Test the connection; the response shows the result."""
    row = _row(id)
    try:
        setup.test(row.account_id, row.id, current_app.extensions["network"])
    except (MailboxError, DecryptionError) as error:
        return _show(row, 400, problem=str(error))
    return _done(id, "test")


@bp.post("/<id>/pause")
def pause(id: str) -> ResponseReturnValue:
    """Stop polling the mailbox."""
    user = pages.user_session()
    mailboxes.pause(user.account_id, _id(id), actor=user.actor)
    return _done(id, "paused")


@bp.post("/<id>/resume")
def resume(id: str) -> ResponseReturnValue:
    """Poll the mailbox again."""
    user = pages.user_session()
    mailboxes.resume(user.account_id, _id(id), actor=user.actor)
    return _done(id, "resumed")


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Delete the mailbox with its secrets."""
    user = pages.user_session()
    name = _title(_row(id))
    if not notices.is_confirmed(name):
        return notices.refuse(url_for(".show", id=id), f"Enter {name} to delete the mailbox.")
    mailboxes.remove(user.account_id, _id(id), actor=user.actor)
    return notices.redirect(url_for(".index"), f"The mailbox {name} was deleted.")


def _done(id: str, change: str) -> ResponseReturnValue:
    return notices.redirect(url_for(".show", id=id), MESSAGES[change])


def _title(row: ReportMailbox) -> str:
    return registry.stored(row.type, row.options, {}).title


def _new(
    type: type[MailboxConfig], form: OptionForm, status: int = 200, problem: str | None = None
) -> ResponseReturnValue:
    return pages.render("new_mailbox.html", status, type=type, form=form, problem=problem)


def _show(
    row: ReportMailbox,
    status: int = 200,
    form: OptionForm | None = None,
    problem: str | None = None,
) -> ResponseReturnValue:
    config = registry.stored(row.type, row.options, {})
    details: dict[str, Any] = {
        "mailbox": row,
        "config": config,
        "details": details_of(config),
        "skipped": list((row.skipped or {}).items())[:MAX_SHOWN],
    }
    if not config.is_operator_only:
        details["form"] = form or form_of(type(config), OptionForm).of_config(config)
    return pages.render("mailbox.html", status, problem=problem, **details)


def _type(name: str) -> type[MailboxConfig]:
    """Return a type whose mailboxes people can add; raises NotFound."""
    config_type = MAILBOX_TYPES.get(name)
    if config_type is None or config_type.is_operator_only:
        raise NotFound
    return config_type


def _row(id: str) -> ReportMailbox:
    return mailboxes.find(pages.user_session().account_id, _id(id))


def _id(text: str) -> UUID:
    mailbox_id = ids.parse("mbx", text)
    if mailbox_id is None:
        raise NotFound
    return mailbox_id


def _public(row: ReportMailbox) -> str:
    return ids.public("mbx", row.id)
