"""A resolver with drafts in place of published records, to check them before publication."""

from collections.abc import Mapping, Sequence

from app.ports.dns import Answer
from app.ports.http import Page, Request
from app.ports.network import NetworkSession


class DraftResolver(NetworkSession):
    """A resolver that returns the draft records of some names, and the published ones of others.

    drafts  TXT values by name; an empty list means that there is no record
    """

    def __init__(self, published: NetworkSession, drafts: Mapping[str, Sequence[str]]) -> None:
        self._published = published
        self._drafts = drafts

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        if rdtype == "TXT" and (texts := self._drafts.get(name)) is not None:
            return Answer(name=name, rdtype=rdtype, rcode="NOERROR", rdatas=tuple(texts))
        if rdtype == "CNAME" and self._drafts.get(name):
            return Answer(name, rdtype, "NOERROR")  # a published record replaces an alias
        answer = await self._published.resolve(name, rdtype, checking_disabled=checking_disabled)
        self.query_count = self._published.query_count
        return answer

    def prefetch(self, *questions: tuple[str, str]) -> None:
        self._published.prefetch(
            *(question for question in questions if question[0] not in self._drafts)
        )

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        return await self._published.fetch(host, path, request)
