"""A resolver that answers as if a draft were published, to check it before.

Each question is also asked in DNS. Where that fails the draft's answer is not known either: the
servers would have to answer for it.
"""

from typing import NamedTuple

from app.checks.engine.draft_zones import Draft, DraftNode
from app.ports.dns import Answer, LookupFailed, ServerAnswer, or_failure
from app.ports.http import Page, Request
from app.ports.network import NetworkSession

MAX_ALIASES = 8
UNPUBLISHED = "unpublished"  # the address of a server is in the draft only


class _Found(NamedTuple):
    """The end of a chain of aliases, with the published answers that it used."""

    answer: Answer
    is_authenticated: bool


class PlannedResolver(NetworkSession):
    """The answers of DNS once the draft is published.

    An answer that the draft does not change is the published one. Other answers are authenticated
    if the published ones are, because the server signs the new records as it signs the old ones.
    """

    def __init__(self, published: NetworkSession, draft: Draft) -> None:
        self._published, self._draft = published, draft

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if checking_disabled:  # asked where validation failed, which a draft does not change
            return await self._published.resolve(name, rdtype, checking_disabled=True)
        owner = name.lower().removesuffix(".")
        published = await or_failure(self._published.resolve(name, rdtype))
        if isinstance(published, LookupFailed):
            published = await self._without_alias(owner, published)
        found = await self._find(owner, rdtype)
        self.query_count = self._published.query_count
        answer = found.answer
        if (answer.rcode, answer.aliases) == (published.rcode, published.aliases) and (
            sorted(map(str, answer.rdatas)) == sorted(map(str, published.rdatas))
        ):
            return published
        return answer._replace(
            name=name,
            authenticated=published.authenticated and found.is_authenticated,
            signatures=published.signatures if answer.rdatas else (),
        )

    def prefetch(self, *questions: tuple[str, str]) -> None:
        self._published.prefetch(*questions)

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        """The published answer of the server; see ``Resolver``."""
        if await self.is_moved(server):
            raise LookupFailed(f"{name}@{server}", rdtype, UNPUBLISHED)
        return await self._published.query_server(server, name, rdtype)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        if await self.is_moved(host):
            addresses = [await self.resolve(host, rdtype) for rdtype in ("A", "AAAA")]
            if not any(answer.rdatas for answer in addresses):
                return Page(f"https://{host}{path}", failure="no_address")
            raise LookupFailed(host, "HTTPS", UNPUBLISHED)
        return await self._published.fetch(host, path, request)

    async def refusal(self, host: str) -> str | None:
        return await self._published.refusal(host)

    async def public_addresses(self, host: str) -> list[str]:
        return await self._published.public_addresses(host)

    async def is_moved(self, host: str) -> bool:
        """Return whether the draft changes the addresses of the host."""
        for rdtype in ("A", "AAAA"):
            before = await or_failure(self._published.resolve(host, rdtype))
            after = await or_failure(self.resolve(host, rdtype))
            if isinstance(before, LookupFailed) or isinstance(after, LookupFailed):
                continue  # a request to the host fails too
            if after != before:
                return True
        return False

    async def _find(self, owner: str, rdtype: str) -> _Found:
        aliases: tuple[str, ...] = ()
        ttls, is_authenticated = list[int](), True
        while len(aliases) <= MAX_ALIASES:
            node = await self._draft.node(owner, rdtype, self._published)
            if node is None:
                answer = await self._published.resolve(owner, rdtype)
                is_authenticated = is_authenticated and answer.authenticated
                chain = _until_draft(answer, self._draft)
                if chain is not None:
                    aliases, owner = aliases + chain, chain[-1]
                    continue
                ttl = min([*ttls, answer.ttl])
                aliases += answer.aliases
                return _Found(answer._replace(aliases=aliases, ttl=ttl), is_authenticated)
            ttls.append(node.ttl)
            if node.alias is None or node.rdatas or rdtype == "CNAME":
                answer = Answer(
                    name=owner,
                    rdtype=rdtype,
                    rcode="NOERROR" if node.exists else "NXDOMAIN",
                    rdatas=node.rdatas,
                    aliases=aliases,
                    ttl=min(ttls),
                )
                return _Found(answer, is_authenticated)
            aliases, owner = (*aliases, node.alias), node.alias
        raise LookupFailed(owner, rdtype, "garbage")

    async def _without_alias(self, name: str, failure: LookupFailed) -> Answer:
        """The published answer about the alias of a name, if the draft replaces the alias.

        raises  ``failure`` if the lookup does not fail because of the alias alone
        """
        if failure.rdtype == "CNAME":
            raise failure
        published = await or_failure(self._published.resolve(name, "CNAME"))
        node = await or_failure(self._draft.node(name, "CNAME", self._published))
        if isinstance(published, LookupFailed) or not isinstance(node, DraftNode):
            raise failure
        if not published.rdatas or node.alias == published.rdatas[0]:
            raise failure
        return published._replace(rdtype=failure.rdtype, rdatas=(), aliases=())


def _until_draft(answer: Answer, draft: Draft) -> tuple[str, ...] | None:
    """The aliases up to the first one at which the draft has a say; None if there is none."""
    for index, alias in enumerate(answer.aliases):
        if draft.concerns(alias):
            return answer.aliases[: index + 1]
    return None
