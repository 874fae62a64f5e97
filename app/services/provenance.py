"""Which mails are provably from the domain that they say, so that a report in one is a reporter's.

A server that is trusted has said so, or a signature of the author's domain is valid. What cannot be
found out proves nothing.
"""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from uuid import UUID

from app import settings
from app.checks.answers import Answers, Door, OpenAnswers, Undetermined
from app.protocols import dkim_verification, mail_author
from app.protocols.mail_author import Signature

SECONDS = 20.0  # for all questions of one group of mails


Guard = Callable[[], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class _Signed:
    """A mail that nobody vouches for, with the signatures that could prove its author."""

    mail_id: UUID
    raw: bytes
    author: str
    signatures: Sequence[Signature]

    def is_valid(self, keys: Mapping[str, str], guard: Guard) -> bool:
        """Whether one of them is valid."""
        try:
            with guard():
                return any(
                    dkim_verification.is_valid(self.raw, signature.index, keys[signature.key_name])
                    for signature in self.signatures
                    if signature.key_name in keys
                )
        except (TimeoutError, MemoryError):
            return False


def proven_domains(
    mails: Iterable[tuple[UUID, bytes]], door: Door | None, guard: Guard
) -> Mapping[UUID, str]:
    """The domain of its author for each mail that is provably from there, by id.

    door     to the keys; without one no signature proves anything
    guard    entered around the verification of each mail; raises TimeoutError or MemoryError
    effects  asks DNS for keys: call it outside of any transaction
    """
    servers = settings.current().trusted_authserv_ids
    proven: dict[UUID, str] = {}
    signed: list[_Signed] = []
    for mail_id, raw in mails:
        header = mail_author.fields(raw)
        author = mail_author.author_domain(header)
        if author is None:
            continue
        if mail_author.is_vouched_for(header, servers, author):
            proven[mail_id] = author
        elif signatures := mail_author.signatures(header, author):
            signed.append(_Signed(mail_id, raw, author, signatures))
    if signed and door:
        wanted = {signature.key_name for mail in signed for signature in mail.signatures}
        keys = door.run(lambda open_answers: _keys(wanted, open_answers))
        proven |= {mail.mail_id: mail.author for mail in signed if mail.is_valid(keys, guard)}
    return proven


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
