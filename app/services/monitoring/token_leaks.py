"""Leaked API keys and upload tokens: revoked immediately, with an alert and an email to the owners.

Only the whole token counts. Its public part appears in lists and logs, so that it proves nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from app.db.transactions import now, transaction
from app.models import Account, ApiKey, TokenLeak, UploadToken, User
from app.rules.accounts.keys_and_channels import token_kind
from app.services.api_keys import callers, key_tokens, upload_tokens
from app.services.audit import audit_log
from app.services.emails import emails
from app.services.emails.emails import NewEmail
from app.services.monitoring import account_monitor

BATCH_SIZE = 500
MAX_URL = 1000
ACTOR = "system:leak-report"
REASON = "it was found in public"
SECRET_SCANNING, PERSON = "secret_scanning", "person"
_PREFIX = 3  # characters of ``mp_`` and ``mu_``
_ID = 12


@dataclass(frozen=True, slots=True)
class Reported:
    """A text that may be a token, and the URL where it was published."""

    token: str
    url: str | None = None


def revoke(reported: Sequence[Reported], reported_by: str) -> list[bool]:
    """Revoke the tokens, and return for each text whether it is a token of this service.

    reported_by  SECRET_SCANNING or PERSON
    effects      for each token that was not revoked yet: an audit event, a row, an alert, and
                 emails to the owners of its account
    """
    matches = _matches([item.token for item in reported])
    for token in sorted(matches):
        url = next((item.url for item in reported if item.token == token and item.url), None)
        with transaction() as session:
            _revoke(session, _public_part(token), _printable(url), reported_by)
    if matches:
        callers.forget_cached()
    return [item.token in matches for item in reported]


def _public_part(token: str) -> str:
    return token[: _PREFIX + _ID]


def _matches(tokens: Sequence[str]) -> set[str]:
    """Return the texts that are tokens of this service, compared in full."""
    matches = set()
    with transaction(readonly=True) as session:
        for batch in _batches(sorted({t for t in tokens if key_tokens.is_well_formed(t)})):
            digests = _key_digests(session, [key_tokens.key_id_of(token) for token in batch])
            matches |= {
                token
                for token in batch
                if key_tokens.matches_digest(token, digests.get(key_tokens.key_id_of(token), b""))
            }
        for batch in _batches(sorted({t for t in tokens if upload_tokens.is_well_formed(t)})):
            digests = _upload_digests(session, [upload_tokens.token_id_of(t) for t in batch])
            matches |= {
                token
                for token in batch
                if upload_tokens.matches_digest(
                    token, digests.get(upload_tokens.token_id_of(token), b"")
                )
            }
    return matches


def _batches(tokens: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(tokens), BATCH_SIZE):
        yield tokens[start : start + BATCH_SIZE]


def _key_digests(session: Session, ids: Sequence[str]) -> Mapping[str, bytes]:
    rows = session.execute(select(ApiKey.key_id, ApiKey.digest).where(ApiKey.key_id.in_(ids)))
    return {row.key_id: row.digest for row in rows}


def _upload_digests(session: Session, ids: Sequence[str]) -> Mapping[str, bytes]:
    rows = session.execute(
        select(UploadToken.token_id, UploadToken.digest).where(UploadToken.token_id.in_(ids))
    )
    return {row.token_id: row.digest for row in rows}


def _revoke(session: Session, public_part: str, url: str | None, reported_by: str) -> None:
    row = _locked(session, public_part)
    if row is None or row.revoked_at is not None:
        return
    row.revoked_at = at = now(session)
    if isinstance(row, ApiKey):
        row.revoked_reason = REASON
    action = "key.revoked" if isinstance(row, ApiKey) else "upload_token.revoked"
    audit_log.record(
        session,
        row.account_id,
        actor=ACTOR,
        action=action,
        target=public_part[_PREFIX:],
        reason=REASON,
        url=url,
        reported_by=reported_by,
    )
    leak = TokenLeak(
        account_id=row.account_id,
        token=public_part,
        name=row.name,
        url=url,
        reported_by=reported_by,
        reported_at=at,
    )
    session.add(leak)
    session.flush()
    account_monitor.check_account(session, row.account_id)
    _email_owners(session, leak)


def _locked(session: Session, public_part: str) -> ApiKey | UploadToken | None:
    """Return the row of this token, locked after its account."""
    id = public_part[_PREFIX:]
    statement: Select[Any] = (
        select(ApiKey).where(ApiKey.key_id == id)
        if public_part.startswith(key_tokens.PREFIX)
        else select(UploadToken).where(UploadToken.token_id == id)
    )
    row: ApiKey | UploadToken | None = session.scalar(statement)
    if row is not None:
        session.execute(
            select(Account.id).where(Account.id == row.account_id).with_for_update(key_share=True)
        )
        session.refresh(row, with_for_update=True)
    return row


def _email_owners(session: Session, leak: TokenLeak) -> None:
    owners = session.scalars(
        select(User.email)
        .where(User.account_id == leak.account_id, User.role == "owner")
        .order_by(User.id)
    )
    kind = token_kind(leak.token)
    subject = f"{kind[0].upper()}{kind[1:]} {leak.name} was found in public and revoked"
    for recipient in owners:
        email = NewEmail(
            recipient=recipient,
            kind="key_leaked",
            subject=subject,
            body=_body(leak),
            account_id=leak.account_id,
        )
        emails.enqueue(session, email)


def _body(leak: TokenLeak) -> str:
    origin = f"It was reported at this address, which we did not visit:\n\n    {leak.url}\n\n"
    return (
        f'The API key "{leak.name}" ({leak.token}) was found in public. We revoked it at '
        f"{leak.reported_at:%Y-%m-%d %H:%M} UTC, and requests with it are refused.\n\n"
        f"{origin if leak.url else ''}"
        "Create a new one for the program that used it, remove the old one from where it was "
        "found, and check whether it was used by others.\n"
    )


def _printable(url: str | None) -> str | None:
    """The address as text that is safe to show; None if there is none."""
    if not url:
        return None
    return "".join(c for c in url if c.isprintable())[:MAX_URL] or None
