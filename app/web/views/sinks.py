"""Pages about forwarding of records: the list of sinks, one sink, and changes."""

from typing import Any
from uuid import UUID

from flask import Blueprint, current_app, url_for
from flask.typing import ResponseReturnValue

from app import ids
from app.errors import ApplicationError, Conflict, InvalidRequest, NotFound, ServiceUnavailable
from app.models import RecordSink
from app.services.core.encryption import DecryptionError
from app.services.forwarding import kinds, sink_tests, sinks
from app.services.forwarding.sink_tests import SinkStatus
from app.services.forwarding.sinks import NewSink
from app.sinks import registry
from app.sinks.registry import SINK_TYPES
from app.sinks.types import SinkConfig
from app.web.base import notices, pages, submissions
from app.web.base.forms import (
    ChoiceField,
    ChoicesField,
    TextField,
)
from app.web.base.option_forms import OptionForm, form_of

bp = Blueprint("sinks", __name__, url_prefix="/settings/integrations")

MESSAGES = {
    "added": "The integration was added. Send a test record to check it.",
    "changed": "The changes were saved.",
    "test": "The receiver accepted the test record.",
    "paused": "Forwarding is paused. Records wait until you resume it.",
    "resumed": "Records are forwarded again.",
    "skipped": "The waiting records were skipped. New records are forwarded.",
}
STARTS = {"new": "Records that are stored from now on", "all": "All records that are stored"}
_LABELS = {
    "dmarc_record": "DMARC records",
    "tls_policy": "TLS policies",
    "tls_failure": "TLS failures",
    "failure_report": "Failure reports",
    "scan": "Scans",
    "finding": "Findings",
    "alert": "Alerts",
    "report_removed": "Removed reports",
}
KINDS = {name: _LABELS[name] for name in kinds.NAMES}


class SinkForm(OptionForm):
    """The fields that the forms of all types of sinks have besides their options."""

    sink_name = TextField("Name", 100, render_kw={"required": True})
    record_kinds = ChoicesField("Records", KINDS, default=list(KINDS))
    start = ChoiceField("Begin with", STARTS, default="new")

    def new_sink(self) -> NewSink:
        """Return the sink that the form describes.

        raises  InvalidRequest
        """
        self.check()
        return NewSink(
            name=self.sink_name.text,
            config=self.config(),
            record_kinds=self.record_kinds.values,
            is_complete=self.start.text == "all",
        )


@bp.get("")
def index() -> ResponseReturnValue:
    """List the sinks, with links to add one."""
    account_id = pages.user_session().account_id
    statuses = [(status, _config(status.row)) for status in sink_tests.overview(account_id)]
    return pages.render("sinks.html", 200, statuses=statuses, types=SINK_TYPES.values())


@bp.get("/add/<type_name>")
def add(type_name: str) -> ResponseReturnValue:
    """Show the form that adds a sink of a type."""
    config_type = _type(type_name)
    return _add_page(config_type, form_of(config_type, SinkForm)())


@bp.post("/add/<type_name>")
def create(type_name: str) -> ResponseReturnValue:
    """Add a sink; the next page shows the signing secret of a webhook once."""
    config_type, user = _type(type_name), pages.user_session()
    form = form_of(config_type, SinkForm).submitted()

    def action() -> dict[str, Any]:
        row, secret = sinks.add(user.account_id, new, actor=user.actor)
        values = {"url": url_for(".show", id=_public(row)), "notice": MESSAGES["added"]}
        if secret is None:
            return {"location": values["url"], **values}
        return {"name": row.name, "secret": secret, **values}

    try:
        new = form.new_sink()
        return submissions.process("sink", action)
    except (InvalidRequest, Conflict) as error:
        _add_errors(form, error)
        return _add_page(config_type, form, error.status)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show a sink with its status, and a form to change it."""
    return _render(sink_tests.status(pages.user_session().account_id, _id(id)))


@bp.post("/<id>")
def update(id: str) -> ResponseReturnValue:
    """Store the changed options."""
    row, user = _row(id), pages.user_session()
    form = form_of(SINK_TYPES[row.kind], SinkForm).submitted()
    form.start.data = "new"
    try:
        sinks.change(row.account_id, row.id, form.new_sink(), actor=user.actor)
    except DecryptionError as error:
        return _show(row, 400, form, str(error))
    except (InvalidRequest, Conflict) as error:
        _add_errors(form, error)
        return _show(row, error.status, form)
    return _done(id, "changed")


@bp.post("/<id>/test")
def test(id: str) -> ResponseReturnValue:
    """Send a test record; the response shows the result."""
    row, user = _row(id), pages.user_session()
    network = current_app.extensions["network"]
    try:
        problem = sink_tests.test(row.account_id, row.id, network, actor=user.actor)
    except ServiceUnavailable as error:
        return _show(row, error.status, problem=error.message)
    return _show(row, 400, problem=problem) if problem else _done(id, "test")


@bp.post("/<id>/pause")
def pause(id: str) -> ResponseReturnValue:
    """Stop forwarding."""
    user = pages.user_session()
    sinks.pause(user.account_id, _id(id), actor=user.actor)
    return _done(id, "paused")


@bp.post("/<id>/resume")
def resume(id: str) -> ResponseReturnValue:
    """Forward again, and to a failing sink immediately."""
    user = pages.user_session()
    sinks.resume(user.account_id, _id(id), actor=user.actor)
    return _done(id, "resumed")


@bp.post("/<id>/skip")
def skip(id: str) -> ResponseReturnValue:
    """Leave out the records that wait."""
    user = pages.user_session()
    sinks.skip_waiting(user.account_id, _id(id), actor=user.actor)
    return _done(id, "skipped")


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Delete the sink with its secret."""
    user = pages.user_session()
    name = _row(id).name
    if not notices.is_confirmed(name):
        return notices.refuse(url_for(".show", id=id), f"Enter {name} to delete the integration.")
    sinks.remove(user.account_id, _id(id), actor=user.actor)
    return notices.redirect(url_for(".index"), f"The integration {name} was deleted.")


def _add_page(type: type[SinkConfig], form: SinkForm, status: int = 200) -> ResponseReturnValue:
    return pages.render("sink_add.html", status, type=type, form=form)


def _show(
    row: RecordSink, status: int, form: SinkForm | None = None, problem: str | None = None
) -> ResponseReturnValue:
    return _render(sink_tests.status(row.account_id, row.id), status, form, problem)


def _render(
    sink: SinkStatus,
    status: int = 200,
    form: SinkForm | None = None,
    problem: str | None = None,
) -> ResponseReturnValue:
    row = sink.row
    config = _config(row)
    stored = form_of(type(config), SinkForm).of_config(
        config, sink_name=row.name, record_kinds=row.record_kinds
    )
    return pages.render(
        "sink.html",
        status,
        sink=row,
        config=config,
        waiting_since=sink.waiting_since,
        skipped=list((row.skipped or {}).items()),
        form=form or stored,
        problem=problem,
    )


def _done(id: str, result: str) -> ResponseReturnValue:
    return notices.redirect(url_for(".show", id=id), MESSAGES[result])


def _add_errors(form: SinkForm, error: ApplicationError) -> None:
    form.add_errors(error, otherwise="sink_name", names={"name": "sink_name"})


def _config(row: RecordSink) -> SinkConfig:
    return registry.stored(row.kind, row.options, "")


def _type(name: str) -> type[SinkConfig]:
    config_type = SINK_TYPES.get(name)
    if config_type is None:
        raise NotFound
    return config_type


def _row(id: str) -> RecordSink:
    return sinks.find(pages.user_session().account_id, _id(id))


def _id(text: str) -> UUID:
    sink_id = ids.parse(sinks.PREFIX, text)
    if sink_id is None:
        raise NotFound
    return sink_id


def _public(row: RecordSink) -> str:
    return ids.public(sinks.PREFIX, row.id)
