"""Lists, which are read page by page."""

from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, TypeVar

import httpx

from mailwatch.async_transport import AsyncTransport
from mailwatch.calls import Call
from mailwatch.transport import Transport

T = TypeVar("T")


class Pager(Generic[T]):
    """All items of a list. The pages are requested when they are needed, and again each time."""

    def __init__(self, transport: Transport, call: Call) -> None:
        self._transport, self._call = transport, call

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[Sequence[T]]:
        """Yield the items of each page."""
        call: Call | None = self._call
        while call is not None:
            items, call = _page(self._transport.send(call), call)
            yield items


class AsyncPager(Generic[T]):
    """All items of a list. The pages are requested when they are needed, and again each time."""

    def __init__(self, transport: AsyncTransport, call: Call) -> None:
        self._transport, self._call = transport, call

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.pages():
            for item in page:
                yield item

    async def pages(self) -> AsyncIterator[Sequence[T]]:
        """Yield the items of each page."""
        call: Call | None = self._call
        while call is not None:
            items, call = _page(await self._transport.send(call), call)
            yield items


def _page(response: httpx.Response, call: Call) -> tuple[list[Any], Call | None]:
    """Return the items of the page, and the call for the next one."""
    body = response.json()
    cursor = body["meta"]["pagination"]["nextCursor"]
    following = replace(call, query={**call.query, "cursor": cursor}) if cursor else None
    return body["data"], following
