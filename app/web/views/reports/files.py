"""Pages about report files: the list with the status of each file, and uploads."""

from collections.abc import Iterable, Iterator

from flask import Blueprint, abort, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import FileStorage

from app import ids, settings
from app.errors import Conflict, QuotaExceeded
from app.models.reports import STATUSES
from app.protocols.quantities import quantity
from app.services.filing import conflicts, retries
from app.services.reports import file_pages, report_files
from app.web.base import notices, pages, query
from app.web.base.filters import file_size

bp = Blueprint("files", __name__, url_prefix="/reports/files")

MAX_FILES = 50
# The id prefix of the report in a file, by the kind of report.
PREFIXES = {"dmarc": "dmr", "tls": "tlr", "failure": "flr"}


@bp.get("")
def index() -> ResponseReturnValue:
    """List the report files, newest first, with a form to upload some."""
    return _page()


@bp.get("/<id>")
def show(id: str) -> ResponseReturnValue:
    """Show a report file: its status, what to do, and what is known about its sender."""
    file, obstacle = report_files.detail(pages.user_session().account_id, id)
    return pages.render("file.html", file=file, obstacle=obstacle, prefixes=PREFIXES)


@bp.post("")
def upload() -> ResponseReturnValue:
    """Store the uploaded files; a worker processes them."""
    user = pages.user_session()
    files = [file for file in request.files.getlist("file") if file.filename]
    if not 1 <= len(files) <= MAX_FILES:
        abort(400, f"Choose 1 to {MAX_FILES} files to upload.")
    try:
        counts = file_pages.upload(user.account_id, _contents(files), user.email)
    except QuotaExceeded as error:
        abort(429, error.message)
    message = f"{quantity(counts.new, 'file')} uploaded and being processed."
    if counts.duplicates:
        message += f" {quantity(counts.duplicates, 'duplicate')} skipped."
    return notices.redirect(url_for(".index"), message)


@bp.post("/retry")
def retry() -> ResponseReturnValue:
    """Process one file again, or the files with one reason for which something has changed."""
    user = pages.user_session()
    report_file_id = ids.parse("file", request.form.get("id", ""))
    reason = request.form.get("reason", "")[:64]
    if report_file_id is None and not reason:
        abort(400, "Choose the files to retry.")
    if report_file_id is None:
        retried = retries.retry(reason=reason, account_id=user.account_id, actor=user.actor)
        return notices.redirect(url_for(".index"), f"{quantity(retried, 'file')} being retried.")
    try:
        report_files.reprocess(user.account_id, request.form["id"], actor=user.actor)
    except Conflict as error:
        abort(400, error.message)
    return notices.redirect(url_for(".index"), "The file is being processed again.")


@bp.post("/use")
def use() -> ResponseReturnValue:
    """Count the report of a file instead of the one that it contradicts."""
    user = pages.user_session()
    report_file_id = ids.parse("file", request.form.get("id", ""))
    if report_file_id is None:
        abort(400, "Choose a report first.")
    try:
        conflicts.use(user.account_id, report_file_id, actor=user.actor)
    except Conflict as error:
        abort(400, error.message)
    return notices.redirect(url_for(".index"), "The chosen report now counts.")


def _contents(files: Iterable[FileStorage]) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the bytes of each file; a file that is too large is answered 413."""
    max_bytes = settings.current().ingest_max_bytes
    for file in files:
        raw = file.read(max_bytes + 1)
        if len(raw) > max_bytes:
            abort(413, f"{file.filename} is larger than {file_size(max_bytes)}.")
        yield file.filename or "", raw


def _page() -> ResponseReturnValue:
    account = pages.user_session().account_id
    filters = {"status": query.choice("status", STATUSES)}
    paging = pages.Paging(filters)
    page = file_pages.page(account, filters["status"] or None, paging.cursor_values)
    return pages.render(
        "files.html",
        page=page,
        following=paging.following(page.cursor_values),
        status=filters["status"],
        prefixes=PREFIXES,
        max_bytes=settings.current().ingest_max_bytes,
        is_waiting=page.statuses["received"] > 0,
    )
