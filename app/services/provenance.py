"""Which mails are provably from the domain that they say, so that a report in one is a reporter's;
and which are provably not.

A server that is trusted has said so, or a signature of the author's domain is valid, or is not.
What cannot be found out (DNS is away, there is no signature, a key has gone) proves nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from uuid import UUID

from app import settings
from app.checks.answers import Answers, Door, OpenAnswers, Undetermined
from app.models.reports import FAILED, VERIFIED
from app.protocols import dkim_verification, mail_author, names, public_suffix
from app.protocols.dkim_verification import Verdict
from app.protocols.mail_author import Signature

SECONDS = 20.0  # for all questions of one group of mails


Guard = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Author:
    """The domain that a mail says it is from: provably so, or provably not."""

    domain: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class _Signed:
    """A mail that nobody vouches for, with the signatures that could prove its author.

    is_denied  a trusted server has found them broken
    is_whole   there are no other signatures, which may be good
    """

    mail_id: UUID
    raw: bytes
    author: str
    signatures: Sequence[Signature]
    is_denied: bool
    is_whole: bool

    def verdict(self, keys: Mapping[str, str], guard: Guard) -> Verdict:
        """VALID if one of them is; BROKEN if all are."""
        found = set()
        try:
            with guard():
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
        return dkim_verification.verify(self.raw, signature.index, key)


def authors(
    mails: Iterable[tuple[UUID, bytes]], door: Door | None, guard: Guard
) -> Mapping[UUID, Author]:
    """Of each mail of which it can be told, by id: whether it is its author's.

    door     to the keys; without one no signature tells anything
    guard    entered around the verification of each mail; raises TimeoutError or MemoryError
    effects  asks DNS for keys: call it outside of any transaction
    """
    servers = settings.current().trusted_authserv_ids
    found: dict[UUID, Author] = {}
    signed: list[_Signed] = []
    for mail_id, raw in mails:
        header = mail_author.fields(raw)
        author = mail_author.author_domain(header)
        if author is None:
            continue
        if mail_author.is_vouched_for(header, servers, author):
            found[mail_id] = Author(author, True)
        else:
            is_denied = mail_author.is_denied(header, servers, author)
            signatures = mail_author.signatures(header, author)
            if is_denied or signatures:
                is_whole = not mail_author.has_further_signatures(header)
                signed.append(_Signed(mail_id, raw, author, signatures, is_denied, is_whole))
    wanted = {signature.key_name for mail in signed for signature in mail.signatures}
    keys = door.run(lambda open_answers: _keys(wanted, open_answers)) if door and wanted else {}
    for mail in signed:
        verdict = mail.verdict(keys, guard)
        if verdict is not Verdict.UNKNOWN:
            found[mail.mail_id] = Author(mail.author, verdict is Verdict.VALID)
    return found


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


async def _keys(wanted: Iterable[str], open_answers: OpenAnswers) -> Mapping[str, str]:
    """The TXT value at each name that has exactly one (RFC 6376 §3.6.2.2)."""
    found: dict[str, str] = {}

    async def ask(name: str, answers: Answers) -> None:
        try:
            values = await answers.txt(name)
        except Undetermined:
            return
        if len(values) == 1:
            found[name] = values[0]

    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(ask(name, open_answers()) for name in wanted))
    return found
