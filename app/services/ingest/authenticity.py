"""The provenance of reports: what the way of arrival, the receiving server and signatures prove.

``of`` decides it. A mail is provably from the domain that it names if a trusted server received it
and says so, or if a signature of that domain is valid. It is provably not from that domain if the
server says so or all signatures are broken, and nothing proves the opposite. An unavailable DNS, a
missing signature or a missing key proves nothing.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from app.models.reports import FAILED, VERIFIED, ReportFile
from app.models.stored_json import SenderMetadata as SenderMetadata  # for callers
from app.ports.dns import LookupFailed, Resolver
from app.ports.network import Network, SessionFactory
from app.protocols import names, public_suffix
from app.protocols.dkim import verification
from app.protocols.dkim.verification import Verdict
from app.protocols.mail import author as mail_author
from app.protocols.mail.author import Signature

SECONDS = 4.0  # for all DNS queries about one batch of mails, as other files wait for it
TRUSTED_ROUTES = ("upload", "cli", "dashboard")  # the sender had a secret of the account
EMAIL_ROUTES = ("mail", "mailbox")  # a mail server of the operator's choice received it
# Entered with the number of bytes that are to be parsed; raises TimeoutError or MemoryError.
Guard = Callable[[int], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class Author:
    """The domain that a mail names as its author, and whether that is proven or disproven."""

    domain: str
    is_proven: bool


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail that may prove its author.

    servers  the authserv-ids of the trusted servers that received it; see ``receiving_servers``
    """

    id: UUID
    raw: bytes
    servers: Collection[str] = ()


MailGuard = Callable[[Mail], AbstractContextManager[object]]


@dataclass(frozen=True, slots=True)
class _Signed:
    """A mail that no trusted server authenticated, with the signatures that could prove its author.

    is_denied    a trusted server found the signatures broken
    is_complete  there are no other signatures, which may be valid
    """

    mail: Mail
    author: str
    signatures: Sequence[Signature]
    is_denied: bool
    is_complete: bool

    def verdict(self, keys: Mapping[str, str], guard: MailGuard) -> Verdict:
        """VALID if one signature is valid; BROKEN if all are broken."""
        verdicts = set()
        try:
            with guard(self.mail):
                for signature in self.signatures:
                    verdicts.add(self._of(signature, keys))
                    if Verdict.VALID in verdicts:
                        return Verdict.VALID
        except (TimeoutError, MemoryError):
            return Verdict.UNKNOWN
        is_broken = self.is_complete and verdicts == {Verdict.BROKEN}
        return Verdict.BROKEN if self.is_denied or is_broken else Verdict.UNKNOWN

    def _of(self, signature: Signature, keys: Mapping[str, str]) -> Verdict:
        key = keys.get(signature.key_name)
        if key is None:
            return Verdict.UNKNOWN
        return verification.verify(self.mail.raw, signature.index, key)


def of(received_via: str, author: Author | None, reporter: str | None) -> str:
    """Return the provenance of a report: one of PROVENANCES.

    received_via  one of ``models.reports.RECEIVED_VIA``
    author        of the mail that carried it
    reporter      the reporter that the report names
    """
    if author and author.is_proven and reporter and mail_author.is_aligned(author.domain, reporter):
        return "authenticated"
    return "token" if received_via in TRUSTED_ROUTES else "unverified"


def received_by(servers: Iterable[str]) -> SenderMetadata:
    """Return the metadata of a mail that one of these servers received."""
    return {"authservIds": sorted(servers)}


def receiving_servers(received_via: str, sender_metadata: SenderMetadata) -> Collection[str]:
    """Return the trusted servers that received a file; their Authentication-Results count.

    returns  none unless it arrived by mail, because anyone can write that field into a file
    """
    if received_via not in EMAIL_ROUTES:
        return ()
    return tuple(name.lower() for name in sender_metadata.get("authservIds", ()))


def rank(received_via: str, sender_metadata: SenderMetadata) -> int:
    """Return the rank of the route of a file; a higher rank gives a better provenance."""
    if received_via in TRUSTED_ROUTES:
        return 2
    return 1 if receiving_servers(received_via, sender_metadata) else 0


def authors(
    mails: Iterable[Mail], network: Network | None, guard: MailGuard
) -> Mapping[UUID, Author]:
    """Return the proven and disproven authors by the id of the mail.

    network  to the public keys; None: no signature is verified
    guard    entered around parsing each mail's header and around verifying its signatures
    effects  DNS queries for keys: call it outside of any transaction
    """
    authors: dict[UUID, Author] = {}
    signed: list[_Signed] = []
    for mail in mails:
        with suppress(TimeoutError, MemoryError), guard(mail):
            examined = _examine(mail)
            if isinstance(examined, Author):
                authors[mail.id] = examined
            elif examined is not None:
                signed.append(examined)
    names = {signature.key_name for candidate in signed for signature in candidate.signatures}
    keys = network.run(lambda new_session: _keys(names, new_session)) if network and names else {}
    for candidate in signed:
        verdict = candidate.verdict(keys, guard)
        if verdict is not Verdict.UNKNOWN:
            authors[candidate.mail.id] = Author(candidate.author, verdict is Verdict.VALID)
    return authors


def _examine(mail: Mail) -> Author | _Signed | None:
    """The author if the header proves it, or the signatures to verify."""
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
    is_complete = not mail_author.has_further_signatures(header)
    return _Signed(
        mail=mail,
        author=author,
        signatures=signatures,
        is_denied=is_denied,
        is_complete=is_complete,
    )


def authenticity(
    author: Author | None, reporter: str | None, organization: str | None, domain: str
) -> str | None:
    """Return whether the mail with a report comes from the reporter that the report names.

    reporter      as the report is filed
    organization  the name of the organization in the report; None: the report has none
    domain        of the account, from which people may forward a report
    returns       VERIFIED or FAILED; None if neither is proven
    """
    if author is None or reporter is None:
        return None
    if mail_author.is_aligned(author.domain, reporter):
        return VERIFIED if author.is_proven else FAILED
    if not author.is_proven or organization is None or not _is_domain(reporter):
        return None
    others = (organization.strip().lower(), domain)
    return None if any(mail_author.is_aligned(author.domain, name) for name in others) else FAILED


def _is_domain(name: str) -> bool:
    try:
        return public_suffix.registrable(names.parse_host(name)) is not None
    except names.NotADomain:
        return False


async def _keys(names: Iterable[str], new_session: SessionFactory) -> Mapping[str, str]:
    """The TXT value at each name that has exactly one (RFC 6376 §3.6.2.2)."""
    keys: dict[str, str] = {}

    async def look_up(name: str, dns: Resolver) -> None:
        try:
            values = await dns.txt(name)
        except LookupFailed:
            return
        if len(values) == 1:
            keys[name] = values[0]

    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(*(look_up(name, new_session()) for name in names))
    return keys


def set_author(
    file: ReportFile, author: Author | None, head: Mapping[str, Any], domain: str
) -> None:
    """Set whether a report that arrived by mail comes from the reporter that it names."""
    if file.received_via not in EMAIL_ROUTES:
        return
    file.author = author.domain if author else None
    organization = head.get("org_name", head.get("organization"))
    file.authenticity = authenticity(author, file.reporter, organization, domain)
