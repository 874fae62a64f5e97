"""The networks that a user has signed in from. The user gets an email about each new one."""

import ipaddress
from datetime import timedelta

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from app.db.bulk import insert
from app.db.transactions import now
from app.models import SignInNetwork, User
from app.services.audit import audit_log
from app.services.emails import security_emails

RETENTION = timedelta(days=180)  # without a sign-in from it
PREFIXES = {4: 24, 6: 48}  # the usual size of the network of a household or an office


def note(session: Session, user: User, agent: str) -> None:
    """Store the network of the current request.

    effects  emails the user if the network is new, except at the first sign-in
    """
    network = network_of(audit_log.origin.get().address)
    if network is None:
        return
    at = now(session)
    has_signed_in = session.scalar(select(exists().where(SignInNetwork.user_id == user.id)))
    row = session.get(SignInNetwork, (user.id, network))
    if row is not None:
        row.last_seen_at = at
        return
    statement = insert(session, SignInNetwork).values(
        user_id=user.id, network=network, first_seen_at=at, last_seen_at=at
    )
    session.execute(statement.on_conflict_do_nothing())
    if has_signed_in:
        security_emails.signed_in_from_new_network(session, user, agent)


def network_of(address: str | None) -> str | None:
    """Return the network of an address; None if the text is not an address."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = mapped or parsed
    return str(ipaddress.ip_network((parsed, PREFIXES[parsed.version]), strict=False))
