"""Pages about mailboxes that reports are fetched from: the list, one mailbox, and changes."""

from uuid import UUID

from flask import Blueprint, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import Regexp

from app import ids
from app.errors import Conflict, InvalidRequest, NotFound, ServiceUnavailable
from app.mailboxes.imap import Account
from app.mailboxes.types import MailboxError
from app.models import ReportMailbox
from app.services.core.encryption import DecryptionError
from app.services.ingest import mailbox_setup, mailboxes
from app.web.base import pages
from app.web.base.forms import BaseForm, ChoiceField, LongTextField, SecretField, TextField

bp = Blueprint("mailboxes", __name__, url_prefix="/settings/mailboxes")

SECURITIES = {"tls": "TLS (port 993)", "starttls": "STARTTLS (port 143)"}
PORTS = {"tls": 993, "starttls": 143}
MESSAGES = {"unread": "Unread emails only", "all": "All emails (needs a folder for imported ones)"}
MISSING_FOLDER = {"fail": "Report an error", "create": "Create it"}
MAX_SHOWN = 50  # skipped messages on the page of a mailbox
_PLAIN = {"autocapitalize": "none", "spellcheck": "false", "autocomplete": "off"}


class MailboxForm(BaseForm):
    """The access to a mailbox; an empty password keeps the stored one."""

    host = TextField(
        "IMAP server",
        253,
        render_kw={**_PLAIN, "required": True, "placeholder": "imap.example.com"},
    )
    security = ChoiceField("Encryption", SECURITIES, default="tls")
    port = TextField(
        "Port (optional)",
        5,
        [Regexp(r"\A[0-9]{0,5}\Z", message="Enter a port from 1 to 65535")],
        render_kw={"inputmode": "numeric", "maxlength": 5},
    )
    username = TextField("User name", 320, render_kw={**_PLAIN, "required": True})
    password = SecretField(
        "Password", "new-password", render_kw={"required": False, "maxlength": 500}
    )
    folder = TextField("Folder", 200, default="INBOX", render_kw={**_PLAIN, "required": True})
    done_folder = TextField("Folder for imported emails (optional)", 200, render_kw=_PLAIN)
    missing_folder = ChoiceField("If that folder is missing", MISSING_FOLDER, default="fail")
    messages = ChoiceField("Emails to fetch", MESSAGES, default="unread")
    ca_certificates = LongTextField("Certificate authority (PEM, optional)", 20_000)

    @property
    def access(self) -> Account:
        """The access that the form describes; call ``check`` first.

        raises  InvalidRequest
        """
        done_folder = self.done_folder.text or None
        if self.messages.text == "all" and done_folder is None:
            message = "Enter a folder for imported emails, or fetch unread emails only"
            raise InvalidRequest.field("done_folder", message)
        return Account(
            host=self.host.text,
            port=int(self.port.text or PORTS[self.security.text]),
            username=self.username.text,
            password=self.password.text,
            folder=self.folder.text,
            done_folder=done_folder,
            security=self.security.text,
            ca_certificates=self.ca_certificates.text or None,
            only_unread=self.messages.text == "unread",
        )

    @property
    def creates_folder(self) -> bool:
        """Whether to create the folder for imported mails if it does not exist."""
        return self.missing_folder.text == "create"

    @classmethod
    def of_row(cls, row: ReportMailbox) -> "MailboxForm":
        """Return the form with the values of a mailbox, without its password."""
        skips_read = row.only_unread or row.done_folder is None
        return cls(
            data={
                "host": row.host,
                "security": row.security,
                "port": str(row.port),
                "username": row.username,
                "folder": row.folder,
                "done_folder": row.done_folder,
                "missing_folder": "fail",
                "messages": "unread" if skips_read else "all",
                "ca_certificates": row.ca_certificates,
            }
        )


@bp.get("")
def index() -> ResponseReturnValue:
    """List the mailboxes, with a form to add one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Sign in to the mailbox, and add it."""
    user, form = pages.user_session(), MailboxForm.submitted()
    try:
        form.check()
        row = mailbox_setup.add(
            user.account_id,
            form.access,
            current_app.extensions["network"],
            actor=user.actor,
            creates_folder=form.creates_folder,
        )
    except MailboxError as error:
        return _list(400, form, str(error))
    except (InvalidRequest, Conflict, ServiceUnavailable) as error:
        form.add_errors(error, otherwise="host")
        return _list(error.status, form)
    return redirect(url_for(".show", id=_public(row), done="added"), 303)


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show a mailbox with its status, and a form to change it."""
    return _show(_row(id))


@bp.post("/<id>")
def update(id: str) -> ResponseReturnValue:
    """Sign in with the changed access, and store it."""
    row, user, form = _row(id), pages.user_session(), MailboxForm.submitted()
    try:
        form.check()
        mailbox_setup.change(
            row,
            form.access,
            current_app.extensions["network"],
            actor=user.actor,
            creates_folder=form.creates_folder,
        )
    except (MailboxError, DecryptionError) as error:
        return _show(row, 400, form, str(error))
    except (InvalidRequest, Conflict, ServiceUnavailable) as error:
        form.add_errors(error, otherwise="host")
        return _show(row, error.status, form)
    return redirect(url_for(".show", id=id, done="changed"), 303)


@bp.post("/<id>/test")
def test(id: str) -> ResponseReturnValue:
    """Test the connection; the response shows the result."""
    row = _row(id)
    try:
        mailbox_setup.test(row.account_id, row.id, current_app.extensions["network"])
    except (MailboxError, DecryptionError) as error:
        return _show(row, 400, problem=str(error))
    return redirect(url_for(".show", id=id, done="test"), 303)


@bp.post("/<id>/pause")
def pause(id: str) -> ResponseReturnValue:
    """Stop polling the mailbox."""
    user = pages.user_session()
    mailboxes.pause(user.account_id, _id(id), actor=user.actor)
    return redirect(url_for(".show", id=id, done="paused"), 303)


@bp.post("/<id>/resume")
def resume(id: str) -> ResponseReturnValue:
    """Poll the mailbox again."""
    user = pages.user_session()
    mailboxes.resume(user.account_id, _id(id), actor=user.actor)
    return redirect(url_for(".show", id=id, done="resumed"), 303)


@bp.post("/<id>/remove")
def remove(id: str) -> ResponseReturnValue:
    """Delete the mailbox with its password."""
    user = pages.user_session()
    mailboxes.remove(user.account_id, _id(id), actor=user.actor)
    return redirect(url_for(".index"), 303)


def _list(
    status: int = 200, form: MailboxForm | None = None, problem: str | None = None
) -> ResponseReturnValue:
    return pages.render(
        "mailboxes.html",
        status,
        mailboxes=mailboxes.search(pages.user_session().account_id),
        form=form or MailboxForm(),
        problem=problem,
    )


def _show(
    row: ReportMailbox,
    status: int = 200,
    form: MailboxForm | None = None,
    problem: str | None = None,
) -> ResponseReturnValue:
    return pages.render(
        "mailbox.html",
        status,
        mailbox=row,
        skipped=list((row.skipped or {}).items())[:MAX_SHOWN],
        form=form or MailboxForm.of_row(row),
        problem=problem,
        done=request.args.get("done"),
    )


def _row(id: str) -> ReportMailbox:
    return mailboxes.find(pages.user_session().account_id, _id(id))


def _id(text: str) -> UUID:
    mailbox_id = ids.parse("mbx", text)
    if mailbox_id is None:
        raise NotFound
    return mailbox_id


def _public(row: ReportMailbox) -> str:
    return ids.public("mbx", row.id)
