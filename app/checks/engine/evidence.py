"""The queries and answers of a check, which are the evidence of its result, within size limits.

A hostile zone can return megabytes and have each of them repeated in a dozen findings. A truncated
text ends with a mark that contains the digest of the full text, so that two different texts stay
different.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.ports.dns import Answer, LookupFailed, ServerAnswer
from app.ports.http import Page, Request
from app.ports.network import NetworkSession

_new = tuple.__new__  # the constructor of a NamedTuple takes 5 times as long

MAX_VALUE = 4096  # characters of one text
MAX_TEXT = 64 * 1024  # characters of one check's records, and again of its facts and findings
SMALL_VALUE = 1024  # characters of all answers; below it, no limit can be exceeded
MAX_SUBJECT = 512
_MARK = 60  # the longest mark: truncation must not make a text longer


class Record(NamedTuple):
    """One query and its answer.

    rcode  ``NOERROR``, ``NXDOMAIN``, or the reason of ``LookupFailed``; for HTTPS the status or
           failure
    """

    name: str
    type: str
    rcode: str
    ttl: int
    values: tuple[str, ...]


class Recorder(NetworkSession):
    """A resolver that records the queries and answers of one check."""

    def __init__(self, dns: NetworkSession) -> None:
        self._dns = dns
        self._answers: dict[tuple[str, str], Answer | Page | str] = {}
        self._direct: dict[tuple[str, str, str], ServerAnswer | LookupFailed] = {}

    def records(self) -> tuple[Record, ...]:
        """The records in the order of the queries, each query once, not truncated."""
        return tuple([_record(*key, answer) for key, answer in self._answers.items()])

    def recorded(self, name: str, rdtype: str) -> Answer | Page | str | None:
        """The answer to a question of the check, or the reason why there is none."""
        return self._answers.get((name, rdtype))

    def owned(self, name: str, rdtype: str) -> Answer | str | None:
        """The answer with the records at this name, which may have been reached by an alias."""
        for (queried_name, queried_type), reached in self._answers.items():
            if not isinstance(reached, Answer):
                continue
            if rdtype == "CNAME" and queried_name == name and reached.aliases:
                return Answer(name, rdtype, "NOERROR", rdatas=reached.aliases[:1])
            if queried_type == rdtype and name in reached.aliases[-1:]:
                return reached
        answer = self._answers.get((name, rdtype))
        return None if isinstance(answer, Page) else answer

    def reads(self, name: str, rdtype: str) -> bool:
        """Whether an answer of the check depends on the records, or on whether the name exists."""
        return self.owned(name, rdtype) is not None or any(
            is_at_or_below(name, queried_name) and isinstance(answer, Answer) and not answer.exists
            for (queried_name, _), answer in self._answers.items()
        )

    async def query(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        """The answer of the network, which is not recorded."""
        return await self._dns.resolve(name, rdtype, checking_disabled=checking_disabled)

    async def load(self, host: str, path: str, request: Request | None = None) -> Page:
        """The page from the network, which is not recorded."""
        return await self._dns.fetch(host, path, request)

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        try:
            answer = await self._dns.resolve(name, rdtype, checking_disabled=checking_disabled)
        except LookupFailed as error:
            self._answers[name, rdtype] = error.reason
            raise
        self._answers[name, rdtype] = answer
        return answer

    def prefetch(self, *questions: tuple[str, str]) -> None:
        self._dns.prefetch(*questions)

    async def query_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        """The answer of a name server; no evidence, as differences are in the finding."""
        try:
            answer = await self._dns.query_server(server, name, rdtype)
        except LookupFailed as error:
            self._direct[server, name, rdtype] = _copied(error)
            raise
        self._direct[server, name, rdtype] = answer
        return answer

    async def replayed(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        """The answer that the name server gave before.

        raises  LookupFailed if it gave none, or was not asked
        """
        answer = self._direct.get((server, name, rdtype))
        if isinstance(answer, ServerAnswer):
            return answer
        if answer is None:
            raise LookupFailed(f"{name}@{server}", rdtype, "network")
        raise _copied(answer)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        try:
            page = await self._dns.fetch(host, path, request)
        except LookupFailed as error:
            self._answers[f"https://{host}{path}", "HTTPS"] = error.reason
            raise
        self._answers[page.url, "HTTPS"] = page
        return page


def is_at_or_below(name: str, parent: str) -> bool:
    """Whether a record at the first name makes the second one exist."""
    return name == parent or name.endswith(f".{parent}")


def size(records: tuple[Record, ...]) -> int:
    """The number of characters in all values."""
    return sum([len(value) for record in records for value in record.values])


class EvidenceBudget:
    """The number of characters that one check may still store."""

    def __init__(self) -> None:
        self._remaining = MAX_TEXT

    def bounded(self, value: Any) -> Any:
        """The JSON value, or the tuple of records, with texts truncated that exceed the limits."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Record):
            return value._replace(values=tuple(map(self._text, value.values)))
        if isinstance(value, Mapping):
            return {key: self.bounded(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.bounded, value))
        return value

    def fits(self, length: int) -> bool:
        """Whether a text of this length may be stored; if so, it counts against the limit."""
        if length > min(MAX_VALUE, self._remaining):
            return False
        self._remaining -= length
        return True

    def _text(self, text: str) -> str:
        if self.fits(len(text)):
            return text
        return truncate(text, MAX_VALUE if self.fits(MAX_VALUE) else 0)


_TRUNCATED = re.compile(r"… \[\d+ more characters; sha256 [0-9a-f]{16}\]$")


def is_truncated(text: str) -> bool:
    """Whether a stored text is not whole, so that it must not be published again."""
    return _TRUNCATED.search(text) is not None


def truncate(text: str, limit: int) -> str:
    """The first ``limit`` characters of a longer text, and a mark with the digest of all of it."""
    missing = len(text) - limit
    if missing <= _MARK:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[:limit]}… [{missing} more characters; sha256 {digest}]"


def _copied(error: LookupFailed) -> LookupFailed:
    """The same failure without its traceback, which refers to the recorder that stores it.

    Only a collection of cyclic garbage could free the two.
    """
    return LookupFailed(error.name, error.rdtype, error.reason)


def _record(name: str, rdtype: str, answer: Answer | Page | str) -> Record:
    """The record of one query.

    answer  a text is the reason why there is no answer
    """
    if isinstance(answer, Answer):
        values = tuple([str(rdata) for rdata in answer.rdatas]) if answer.rdatas else ()
        return _new(Record, (name, rdtype, answer.rcode, answer.ttl, values))
    if isinstance(answer, str):
        return Record(name=name, type=rdtype, rcode=answer, ttl=0, values=())
    text = answer.body.decode("utf-8", "backslashreplace")
    return Record(
        name=name,
        type=rdtype,
        rcode=answer.failure or str(answer.status),
        ttl=0,
        values=(text,) if text else (),
    )
