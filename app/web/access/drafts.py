"""Forms that were sent after the session had ended: what was entered is filled in again.

1. A form that is refused because of its session is stored as a draft, without secrets.
2. The user signs in and comes back to the page of the form, with the draft in the address.
3. The draft is deleted, its values are in the form, and the page says that nothing was saved.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

from flask import g, request

from app.mailboxes.registry import MAILBOX_TYPES
from app.options.schema import Options
from app.services.sign_in import form_drafts
from app.services.sign_in.form_drafts import FormDraft
from app.sinks.registry import SINK_TYPES
from app.web.access import form_filler, tickets

PARAMETER = "draft"  # the id of the draft, in the address of the page
MAX_CHARACTERS = 160_000  # of all names and values; the largest form has 130,000
MAX_VALUES = 1_000
_TYPES: list[type[Options]] = [*MAILBOX_TYPES.values(), *SINK_TYPES.values()]
_FIXED = frozenset({"csrf", "submission", "back"})
# Never stored: passwords, codes, addresses that are secret, and confirmations of a deletion.
SECRETS = frozenset(
    {
        *("password", "current", "again", "code", "target", "url", "confirm"),
        *(
            name
            for config in _TYPES
            for name, option in config.options().items()
            if option.is_secret
        ),
    }
)
_SECRET_FORMS = ("web.security.", "web.account.")  # passwords, codes, and offered secrets
ENDED = "Your session has ended, so nothing was saved."
RESTORED = "What you entered is in the form again"
GONE = (
    "What you entered is no longer stored: it is filled in once, within an hour. Nothing was saved."
)


@dataclass(frozen=True, slots=True)
class Refused:
    """A form that was refused because of its session.

    page      the path of the page with the form; with the id of the draft if it was stored
    is_kept   whether the entered values were stored
    """

    page: str
    is_kept: bool


def refused(csrf: str) -> Refused | None:
    """Store the submitted form as a draft of the user that it was shown to.

    csrf     the submitted CSRF value
    returns  None if the form was not shown to a user by us, or to another user than the one who
             is signed in
    """
    ticket = tickets.read(csrf.partition(".")[2])
    user = g.get("user")
    if ticket is None or (user is not None and user.user_id != ticket.user_id):
        return None
    fields = list(_fields())
    size = sum(len(name) + len(value) for name, value in fields)
    if not fields or size > MAX_CHARACTERS or len(fields) > MAX_VALUES:
        return Refused(ticket.page, is_kept=False)
    draft = FormDraft(page=ticket.page, action=request.path, fields=fields)
    id = form_drafts.keep(ticket.user_id, draft)
    if id is None:
        return Refused(ticket.page, is_kept=False)
    parts = urlsplit(ticket.page)
    others = [item for item in parse_qsl(parts.query, True) if item[0] != PARAMETER]
    query = urlencode([*others, (PARAMETER, id)])
    return Refused(f"{parts.path}?{query}", is_kept=True)


def take() -> tuple[str, FormDraft | None]:
    """Return the message for this page, and the draft to fill in; an empty message without one.

    effects  the draft is deleted
    """
    id = request.args.get(PARAMETER, "")
    if not id or request.method != "GET" or g.get("user") is None:
        return "", None
    draft = form_drafts.take(g.user.user_id, id[:64])
    if draft is None or urlsplit(draft.page).path != request.path:
        return GONE, None
    return f"Nothing was saved yet. {RESTORED}. Check it and send it again.", draft


def fill(page: str, draft: FormDraft) -> str:
    """Return the page with the values of the draft in its form."""
    values: dict[str, list[str]] = {}
    for name, value in draft.fields:
        values.setdefault(name, []).append(value)
    return form_filler.fill(page, request.path, draft.action, values)


def _fields() -> Iterator[tuple[str, str]]:
    if (request.endpoint or "").startswith(_SECRET_FORMS):
        return
    for name, value in request.form.items(multi=True):
        if name not in _FIXED and name not in SECRETS:
            yield name, value
