"""Pages about API keys: the list, a new key, and the usage of a key."""

import ipaddress
from datetime import timedelta
from typing import Any

from flask import Blueprint, redirect, url_for
from flask.typing import ResponseReturnValue
from wtforms.validators import DataRequired, Optional, Regexp, ValidationError

from app import settings
from app.errors import InvalidRequest
from app.models import ApiKey
from app.models.keys import Scope
from app.services.api_keys import api_keys, key_pages
from app.services.api_keys.api_keys import NewKey
from app.web.base import charts, notices, pages, submissions
from app.web.base.forms import (
    BaseForm,
    ChoiceField,
    ChoicesField,
    ExpiryField,
    TextField,
    WordsField,
)

bp = Blueprint("keys", __name__, url_prefix="/settings/keys")

# The first page of the settings.
first_page = Blueprint("settings", __name__, url_prefix="/settings")

MEANINGS = {
    Scope.DOMAINS_READ: "List domains and read their check results, scans and DNS history.",
    Scope.DOMAINS_WRITE: "Add, change, verify and delete domains.",
    Scope.REPORTS_READ: "Read DMARC, TLS and failure reports, and analytics.",
    Scope.ALERTS_READ: "List alerts with their evidence and history, and the event feed.",
    Scope.ALERTS_WRITE: "Acknowledge, snooze, dismiss and reopen alerts.",
    Scope.SCANS_TRIGGER: "Start scans, follow their progress and cancel them.",
}
GRACES = {"0": "Immediately", "1": "After 1 hour", "24": "After 24 hours", "168": "After 7 days"}
MAX_CIDRS = 20
RESULTS = ("ok", "error", "denied", "limited")


class NewKeyForm(BaseForm):
    """Create an API key."""

    name = TextField(
        "Name",
        100,
        [DataRequired("Enter a name, such as CI pipeline")],
        render_kw={"placeholder": "e.g. CI pipeline"},
    )
    days = ExpiryField()
    scopes = ChoicesField(
        "Permissions",
        {scope.value: scope.value for scope in Scope},
    )
    cidrs = WordsField(
        "Allowed networks (optional)",
        1000,
        description="Requests from other networks get 401.",
        render_kw={"placeholder": "192.0.2.0/24, 2001:db8::/48"},
    )
    limit = TextField(
        "Requests per minute (optional)",
        6,
        [
            Optional(),
            Regexp(
                r"[1-9][0-9]{0,5}\Z",
                message="Enter a whole number of requests per minute, 1 to 999999",
            ),
        ],
        render_kw={"inputmode": "numeric", "pattern": "[0-9]{1,6}"},
    )

    def validate_scopes(self, field: ChoicesField) -> None:
        """Check that a scope is selected."""
        if not field.values:
            raise ValidationError("Choose at least one permission")

    def validate_cidrs(self, field: WordsField) -> None:
        """Check the networks."""
        if len(field.words) > MAX_CIDRS:
            raise ValidationError(f"Enter at most {MAX_CIDRS} networks")
        self.networks()

    def networks(self) -> list[str]:
        """Return the networks; a single address is a network of one.

        raises  ValidationError
        """
        networks = []
        for text in self.cidrs.words:
            try:
                networks.append(str(ipaddress.ip_network(text)))
            except ValueError:
                message = f"{text[:50]} is not a network. Enter one such as 192.0.2.0/24"
                raise ValidationError(message) from None
        return networks

    def new_key(self) -> NewKey:
        """Return the key that the form describes; call ``check`` first."""
        limit = self.limit.text
        return NewKey(
            self.name.text,
            [Scope(value) for value in self.scopes.values],
            expires_at=self.days.expires_at,
            allow_cidrs=self.networks(),
            rate_limit=f"{limit} per minute" if limit else None,
        )


class RotateKeyForm(BaseForm):
    """Rotate an API key."""

    grace = ChoiceField("Old key expires", GRACES, default="24")


@first_page.get("")
def redirect_to_first_page() -> ResponseReturnValue:
    """Redirect to the first page of the settings."""
    return redirect(url_for("web.keys.index"), 303)


@bp.get("")
def index() -> ResponseReturnValue:
    """List the account's keys, with a form to create one."""
    return _list()


@bp.post("")
def create() -> ResponseReturnValue:
    """Create a key; the next page shows it once."""
    user, form = pages.user_session(), NewKeyForm.submitted()

    def issue() -> dict[str, Any]:
        key, token = api_keys.issue(user.account_id, form.new_key(), actor=user.actor)
        return _made(key, token) | {"notice": f"The API key {key.name} was created."}

    try:
        form.check()
        return submissions.process("api_key", issue)
    except InvalidRequest as error:
        form.add_errors(error, otherwise="name", names={"rateLimit": "limit"})
        return _list(error.status, form)


@bp.get("/<key_id>")
def show(key_id: str) -> ResponseReturnValue:
    """Show a key with its usage."""
    return _page(key_id)


def _page(key_id: str, code: int = 200, error: str | None = None) -> ResponseReturnValue:
    page = key_pages.find(pages.user_session().account_id, key_id)
    key, activity = page.key, page.activity
    days = [(f"{day:%d %b}", counts) for day, counts in activity.by_day()]
    return pages.render(
        "key.html",
        code,
        error=error,
        key=key,
        status=page.status,
        activity=activity,
        totals={
            "all": activity.total(),
            **{name: activity.total(name) for name in ("denied", "limited", "error")},
        },
        remarks=activity.remarks(),
        chart=charts.stacked(RESULTS, days),
        rotate_form=RotateKeyForm(),
        pair=page.pair,
        can_rotate=page.can_rotate,
    )


@bp.post("/<key_id>/rotate")
def rotate(key_id: str) -> ResponseReturnValue:
    """Create a key like this one, which stays valid for a while; the next page shows it once."""
    user, form = pages.user_session(), RotateKeyForm.submitted()
    form.check()
    grace = timedelta(hours=int(form.grace.text))

    def replace() -> dict[str, Any]:
        key, token = api_keys.rotate(user.account_id, key_id, grace, actor=user.actor)
        old = key_pages.find(user.account_id, key_id).key
        return _made(key, token) | {
            "old_id": old.key_id,
            "old_expires_at": old.expires_at,
            "notice": f"The API key {key.name} was rotated.",
        }

    try:
        return submissions.process("api_key", replace)
    except InvalidRequest as error:
        return _page(key_id, error.status, error.message)


def _made(key: ApiKey, token: str) -> dict[str, Any]:
    base_url = settings.current().base_url
    return {
        "name": key.name,
        "expires_at": key.expires_at,
        "token": token,
        "base_url": base_url,
    }


@bp.post("/<key_id>/revoke")
def revoke(key_id: str) -> ResponseReturnValue:
    """Revoke the key; requests with it get 401."""
    user = pages.user_session()
    name = key_pages.find(user.account_id, key_id).key.name
    if not notices.is_confirmed(name):
        return notices.refuse(url_for(".show", key_id=key_id), f"Enter {name} to revoke the key.")
    api_keys.revoke(user.account_id, key_id, actor=user.actor, reason="by a user")
    return notices.redirect(url_for(".index"), f"The API key {name} was revoked.")


def _list(status: int = 200, form: NewKeyForm | None = None) -> ResponseReturnValue:
    return pages.render(
        "keys.html",
        status,
        keys=key_pages.keys(pages.user_session().account_id),
        meanings=MEANINGS,
        limit=settings.current().rate_limit,
        form=form or NewKeyForm(),
    )
