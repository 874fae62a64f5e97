"""What a report is worth: a function of how it arrived, by which server, and of signatures.

``of`` decides it. A mail is provably from the domain that it names if the server that received it
for us says so, or if a signature of that domain is valid; it is provably not if both disagree.
What cannot be found out (DNS is away, there is no signature, a key has gone) proves nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.models.reports import FAILED, VERIFIED
from app.ports.dns import LookupFailed, Resolver
from app.ports.network import Network, SessionFactory
from app.protocols import names, public_suffix
from app.protocols.dkim import verification
from app.protocols.dkim.verification import Verdict
from app.protocols.mail import author as mail_author
from app.protocols.mail.author import Signature

SECONDS = 4.0  # for all DNS queries about one batch of mails: others wait for it
TRUSTED_WAYS = ("upload", "cli", "dashboard")  # the sender had a secret of the account
MAIL_WAYS = ("mail", "mailbox")  # a mail server of the operator's choice received it
_SERVERS = "authservIds"


# Entered with the number of bytes that are to be parsed; raises TimeoutError or MemoryError.
Guard = Callable[[int], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Author:
    """The domain that a mail says it is from: provably so, or provably not."""

    domain: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that may prove its author.

    servers  the authserv-ids of the servers that received it for us; ``receiving_servers``
    """

    id: UUID
    raw: bytes
    servers: Collection[str] = ()


MailGuard = Callable[[Mail], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class _Signed:
    """A mail that no trusted server authenticated, with the signatures that could prove its author.

    is_denied  a trusted server has found them broken
    is_whole   there are no other signatures, which may be good
    """

    mail: Mail
    author: str
    signatures: Sequence[Signature]
    is_denied: bool
    is_whole: bool

    def verdict(self, keys: Mapping[str, str], guard: MailGuard) -> Verdict:
        """VALID if one of them is; BROKEN if all are."""
        found = set()
        try:
            with guard(self.mail):
                for signature in self.signatures:
                    found.add(self._of(signature, keys))
                    if Verdict.VALID in found:
                        return Verdict.VALID
        except (TimeoutError, MemoryError):
            return Verdict.UNKNOWN
        is_broken = self.is_whole and found == {Verdict.BROKEN}
        return Verdict.BROKEN if self.is_denied or is_broken else Verdict.UNKNOWN

    def _of(self, signature: Signature, keys: Mapping[str, str]) -> Verdict:
        key = keys.get(signature.key_name)
        if key is None:
            return Verdict.UNKNOWN
        return verification.verify(self.mail.raw, signature.index, key)


def of(received_via: str, author: Author | None, reporter: str | None) -> str:
    """What a report is worth: one of PROVENANCES.

    received_via  one of ``models.reports.WAYS``
    author        of the mail that carried it, as far as that is proven
    reporter      who made the report, by its own account
    """
    if author and author.is_proven and reporter and mail_author.is_aligned(author.domain, reporter):
        return "authenticated"
    return "token" if received_via in TRUSTED_WAYS else "unverified"


def received_by(servers: Iterable[str]) -> dict[str, Any]:
    """What is stored with a mail that one of these servers received for us."""
    return {_SERVERS: sorted(servers)}


def receiving_servers(received_via: str, claims: Mapping[str, Any]) -> Collection[str]:
    """The servers that received a file for us; their Authentication-Results count.

    returns  none unless it came by mail: everybody can write that field into a file
    """
    if received_via not in MAIL_WAYS:
        return ()
    return tuple(name.lower() for name in claims.get(_SERVERS, ()))


def rank(received_via: str, claims: Mapping[str, Any]) -> int:
    """How much the way that a file arrived can prove: more is better."""
    if received_via in TRUSTED_WAYS:
        return 2
    return 1 if receiving_servers(received_via, claims) else 0


def authors(mails: Iterable[Mail], door: Network | None, guard: MailGuard) -> Mapping[UUID, Author]:
    """Of each mail of which it can be told, by id: whether it is its author's.

    door     to the keys; without one no signature tells anything
    guard    entered around parsing each mail's header and around verifying its signatures
    effects  asks DNS for keys: call it outside of any transaction
    """
    found: dict[UUID, Author] = {}
    signed: list[_Signed] = []
    for mail in mails:
        with suppress(TimeoutError, MemoryError), guard(mail):
            examined = _examine(mail)
            if isinstance(examined, Author):
                found[mail.id] = examined
            elif examined is not None:
                signed.append(examined)
    wanted = {signature.key_name for candidate in signed for signature in candidate.signatures}
    keys = door.run(lambda open_answers: _keys(wanted, open_answers)) if door and wanted else {}
    for candidate in signed:
        verdict = candidate.verdict(keys, guard)
        if verdict is not Verdict.UNKNOWN:
            found[candidate.mail.id] = Author(candidate.author, verdict is Verdict.VALID)
    return found


def _examine(mail: Mail) -> Author | _Signed | None:
    """What the header proves by itself, or the signatures that are to be verified."""
    header = mail_author.fields(mail.raw)
    author = mail_author.author_domain(header)
    if author is None:
        return None
    if mail_author.is_vouched_for(header, mail.servers, author):
        return Author(author, True)
    is_denied = mail_author.is_denied(header, mail.servers, author)
    signatures = mail_author.signatures(header, author)
    if not is_denied and not signatures:
        return None
    is_whole = not mail_author.has_further_signatures(header)
    return _Signed(mail, author, signatures, is_denied, is_whole)


def authenticity(
    author: Author | None, reporter: str | None, organization: str | None, own: str
) -> str | None:
    """Whether the mail around a report is from whom the report says that it is from.

    reporter      as the report is filed
    organization  how the report calls it; None: its kind does not say
    own           the account's domain: its people may forward a report
    returns       VERIFIED or FAILED; None if it cannot be told
    """
    if author is None or reporter is None:
        return None
    if mail_author.is_aligned(author.domain, reporter):
        return VERIFIED if author.is_proven else FAILED
    if not author.is_proven or organization is None or not _is_domain(reporter):
        return None
    others = (organization.strip().lower(), own)
    return None if any(mail_author.is_aligned(author.domain, one) for one in others) else FAILED


def _is_domain(name: str) -> bool:
    try:
        return public_suffix.registrable(names.parse_host(name)) is not None
    except names.NotADomain:
        return False


async def _keys(wanted: Iterable[str], open_answers: SessionFactory) -> Mapping[str, str]:
    """The TXT value at each name that has exactly one (RFC 6376 §3.6.2.2)."""
    found: dict[str, str] = {}

    async def ask(name: str, answers: Resolver) -> None:
        try:
            values = await answers.txt(name)
        except LookupFailed:
            return
        if len(values) == 1:
            found[name] = values[0]

    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(ask(name, open_answers()) for name in wanted))
    return found
