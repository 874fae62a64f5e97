"""The email that invites a person to an account."""

from sqlalchemy.orm import Session

from app.models import Account, Invitation
from app.services.emails import emails
from app.services.emails.emails import NewEmail

KIND = "invitation"

INVITED = """\
{inviter} has invited you to join the account "{account}" on mailwatch. Your role will be {role}.

To accept the invitation, open this link and choose a password:
{link}

The link works once and expires on {day}. Anyone who has it can join, so do not forward it.
If you did not expect this invitation, you can ignore this email.
"""

HAS_USER = """\
{inviter} has invited you to join the account "{account}" on mailwatch. Your role would be {role}.

Your email address already has a user in another account, and an address can belong to one account
only. To join, ask {inviter} to invite another address of yours.

If you did not expect this invitation, you can ignore this email.
"""


def send(session: Session, invitation: Invitation, link: str | None) -> None:
    """Email the invited person; runs in the caller's transaction.

    link  None if the address already has a user and therefore cannot accept
    """
    account = session.get_one(Account, invitation.account_id)
    body = (INVITED if link else HAS_USER).format(
        inviter=invitation.invited_by,
        account=account.name,
        role=invitation.role,
        link=link,
        day=f"{invitation.expires_at:%d %B %Y}",
    )
    subject = f"Invitation to join {account.name} on mailwatch"
    email = NewEmail(
        recipient=invitation.email, kind=KIND, subject=subject, body=body, account_id=account.id
    )
    emails.enqueue(session, email)
