"""Emails to people about changes of their sign-in, their role and their account.

Each function runs in the transaction of the change, so nothing changes without its email. They name
the time, the address and the person who acted, and never contain a secret or a link that signs in.
People are named in bodies, which are deleted when they are sent, and not in subjects, which stay.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app import settings
from app.db.transactions import now
from app.models import Account, ApiKey, Invitation, User
from app.services.audit import audit_log
from app.services.emails import emails
from app.services.emails.browser_names import browser
from app.services.emails.emails import NewEmail

SECURITY, TEAM, KEYS = "/settings/security", "/settings/team", "/settings/keys"
OWN_ADVICE = "If you did not do this, change your password and end your other sessions now"
TEAM_ADVICE = "If you did not expect this, check the people of your account"
KEY_ADVICE = "If you did not expect this, check the API keys of your account"


@dataclass(frozen=True, slots=True)
class Notice:
    """One email to each of several people.

    sentence  what happened
    facts     lines below it, as (name, value)
    advice    what to do if it was not expected; ``path`` is the page for that
    """

    kind: str
    subject: str
    sentence: str
    facts: Sequence[tuple[str, str]]
    advice: str
    path: str


def signed_in_from_new_network(session: Session, user: User, agent: str) -> None:
    """Notify a person about a sign-in from a network that the person has not used before."""
    notice = Notice(
        kind="new_network",
        subject="New sign-in to mailwatch",
        sentence=f"{user.email} signed in to mailwatch from a network that was not used before.",
        facts=[("Browser", browser(agent))],
        advice=OWN_ADVICE,
        path=SECURITY,
    )
    _send(session, user.account_id, [user.email], notice)


def credentials_changed(session: Session, user: User, sentence: str, actor: str) -> None:
    """Notify a person that the password, the two-factor authentication or the codes have changed.

    sentence  like ``Your password was changed``
    """
    notice = Notice(
        kind="credentials",
        subject=sentence,
        sentence=f"{sentence}.",
        facts=[("Changed by", _name(actor))],
        advice=OWN_ADVICE,
        path=SECURITY,
    )
    _send(session, user.account_id, [user.email], notice)


def role_changed(session: Session, user: User, before: str, actor: str) -> None:
    """Notify a person and the owners that the person has another role."""
    notice = Notice(
        kind="role",
        subject="A role in your account was changed",
        sentence=f"{user.email} now has the role {user.role}.",
        facts=[("Previous role", before), ("Changed by", _name(actor))],
        advice=TEAM_ADVICE,
        path=TEAM,
    )
    _send(session, user.account_id, [user.email, *_owners(session, user.account_id)], notice)


def person_removed(session: Session, user: User, actor: str) -> None:
    """Notify a person and the owners that the person was removed from the account."""
    notice = Notice(
        kind="removed",
        subject="A person was removed from your account",
        sentence=f"{user.email} can no longer sign in to this account.",
        facts=[("Removed by", _name(actor))],
        advice=TEAM_ADVICE,
        path=TEAM,
    )
    owners = [email for email in _owners(session, user.account_id) if email != user.email]
    own = [user.email] if emails.is_configured() else []
    _send(session, user.account_id, [*own, *owners], notice)


def invitation_changed(session: Session, invitation: Invitation, verb: str, actor: str) -> None:
    """Notify the inviter, the actor and the owners that an invitation was created, accepted, …."""
    notice = Notice(
        kind="invitation_change",
        subject=f"An invitation to your account was {verb}",
        sentence=f"An invitation to join your account was {verb}.",
        facts=[
            ("Invited person", invitation.email),
            ("Role", invitation.role),
            ("Invited by", invitation.invited_by),
            (f"{verb.capitalize()} by", _name(actor)),
        ],
        advice=TEAM_ADVICE,
        path=TEAM,
    )
    people = [f"user:{invitation.invited_by}"]
    if actor != f"user:{invitation.email}":
        people.append(actor)
    _notify_people(session, invitation.account_id, people, notice)


def keys_changed(
    session: Session,
    rows: Sequence[ApiKey],
    verb: str,
    actor: str,
    *,
    replacement: ApiKey | None = None,
) -> None:
    """Notify the creators, the actor and the owners that API keys of one account were changed.

    verb         ``created``, ``rotated`` or ``revoked``
    replacement  the new key of a rotation
    """
    if not rows:
        return
    title = f"API key {rows[0].name}" if len(rows) == 1 else f"{len(rows)} API keys"
    lines = [("API key", f"{key.name} ({key.key_id}): {' '.join(key.scopes)}") for key in rows]
    if replacement is not None:
        lines.append(("Replaced by", replacement.key_id))
    notice = Notice(
        kind="api_key",
        subject=f"{title} {verb}",
        sentence=f"{title} of your account {'was' if len(rows) == 1 else 'were'} {verb}.",
        facts=[*lines, (f"{verb.capitalize()} by", _name(actor))],
        advice=KEY_ADVICE,
        path=KEYS,
    )
    people = [actor, *(key.created_by for key in rows)]
    _notify_people(session, rows[0].account_id, people, notice)


def _notify_people(
    session: Session, account_id: UUID, actors: Iterable[str], notice: Notice
) -> None:
    """Send the notice to the owners, and to those of the actors who are in the account."""
    addresses = {actor.removeprefix("user:") for actor in actors}
    members = session.scalars(
        select(User.email).where(User.account_id == account_id, User.email.in_(addresses))
    )
    _send(session, account_id, [*members, *_owners(session, account_id)], notice)


def _owners(session: Session, account_id: UUID) -> Sequence[str]:
    is_owner = User.account_id == account_id, User.role == "owner"
    return session.scalars(select(User.email).where(*is_owner)).all()


def _send(session: Session, account_id: UUID, recipients: Iterable[str], notice: Notice) -> None:
    account = session.get_one(Account, account_id)
    facts = [
        *notice.facts,
        ("Account", account.name),
        ("Time", f"{now(session):%Y-%m-%d %H:%M} UTC"),
        ("IP address", audit_log.origin.get().address or "none (command line)"),
    ]
    width = max(len(name) for name, _ in facts) + 2
    lines = "\n".join(f"  {name + ':':<{width}}{value}" for name, value in facts)
    link = settings.current().base_url + notice.path
    body = f"{notice.sentence}\n\n{lines}\n\n{notice.advice}:\n{link}\n"
    for recipient in dict.fromkeys(recipients):
        email = NewEmail(
            recipient=recipient,
            kind=notice.kind,
            subject=notice.subject,
            body=body,
            account_id=account_id,
        )
        emails.enqueue(session, email)


def _name(actor: str) -> str:
    """The actor of the audit log, as people read it."""
    if actor == "user:operator":
        return "an operator of this service"
    kind, _, name = actor.partition(":")
    return f"API key {name}" if kind == "key" else name or "this service"
