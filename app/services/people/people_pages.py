"""The pages about people in the dashboard: the team, and the security of one person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from app.db.transactions import transaction
from app.models import ApiKey, BrowserSession, Invitation, User
from app.services.people import invitations, key_creators, members
from app.services.sign_in import sessions, two_factor
from app.services.sign_in.two_factor import State


@dataclass(frozen=True, slots=True)
class TeamMember:
    """A member of the account, and the names of the usable API keys that the member created."""

    user: User
    key_names: Sequence[str]


@dataclass(frozen=True, slots=True)
class TeamPage:
    """The team of an account, from one snapshot.

    members      the oldest first
    former       the usable API keys of creators who are no longer members, by actor
    invitations  those that are neither accepted nor expired, newest first
    """

    members: Sequence[TeamMember]
    former: Mapping[str, Sequence[ApiKey]]
    invitations: Sequence[Invitation]


@dataclass(frozen=True, slots=True)
class SecurityPage:
    """The security settings of a user, from one snapshot.

    sessions  the last used first, each with whether it is the current one
    """

    two_factor: State
    sessions: Sequence[tuple[BrowserSession, bool]]


def team(account_id: UUID) -> TeamPage:
    """Return the members, the invitations, and the API keys of former members."""
    with transaction(readonly=True, snapshot=True) as session:
        users = members.read(session, account_id)
        keys = key_creators.by_creator(session, account_id)
        actors = {user.id: key_creators.actor_of(user) for user in users}
        return TeamPage(
            members=[
                TeamMember(user, [key.name for key in keys.get(actors[user.id], ())])
                for user in users
            ],
            former={actor: rows for actor, rows in keys.items() if actor not in actors.values()},
            invitations=invitations.pending(session, account_id),
        )


def security(user_id: UUID, token: str) -> SecurityPage:
    """Return the security settings of the user; ``token`` is that of the current session."""
    with transaction(readonly=True, snapshot=True) as session:
        return SecurityPage(
            two_factor=two_factor.state(session, user_id),
            sessions=[
                (row, sessions.is_of(row, token)) for row in sessions.of_user(session, user_id)
            ],
        )
