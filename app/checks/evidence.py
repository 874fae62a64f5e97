"""What a check asked and heard: the evidence of its judgement, within bounds.

A hostile zone can make a check hear megabytes, and repeat each of them in a dozen findings. What is
cut ends with a mark that has the digest of the whole, so that two different texts stay different.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

from app.checks.answers import Answer, Answers, Page, Request, ServerAnswer, Undetermined

MAX_VALUE = 4096  # characters of one text that are kept
MAX_TEXT = 64 * 1024  # of one check's records, and again of its facts and findings
SMALL = 1024  # heard in all: whatever is said of so little is within bounds
MAX_SUBJECT = 512
_MARK = 60  # characters that a mark has at most: nothing is cut to become longer


class Record(NamedTuple):
    """One thing that was asked and what was heard.

    rcode  ``NOERROR``, ``NXDOMAIN``, or the reason of ``Undetermined``; for HTTPS the status or
           failure
    """

    name: str
    type: str
    rcode: str
    ttl: int
    values: tuple[str, ...]


class Witness(Answers):
    """Answers that note, for one check, what was asked and what was heard."""

    def __init__(self, dns: Answers) -> None:
        self._dns = dns
        self._heard: dict[tuple[str, str], Answer | Page | str] = {}

    def records(self) -> tuple[Record, ...]:
        """In the order of asking, each question once; whole, whatever their size."""
        return tuple([_record(*key, heard) for key, heard in self._heard.items()])

    async def ask(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        try:
            answer = await self._dns.ask(name, rdtype, checking_disabled=checking_disabled)
        except Undetermined as error:
            self._heard[name, rdtype] = error.reason
            raise
        self._heard[name, rdtype] = answer
        return answer

    def ask_ahead(self, *questions: tuple[str, str]) -> None:
        self._dns.ask_ahead(*questions)

    async def ask_server(self, server: str, name: str, rdtype: str) -> ServerAnswer:
        """Not noted: it is compared, and what differs is in the finding."""
        return await self._dns.ask_server(server, name, rdtype)

    async def fetch(self, host: str, path: str, request: Request | None = None) -> Page:
        try:
            page = await self._dns.fetch(host, path, request)
        except Undetermined as error:
            self._heard[f"https://{host}{path}", "HTTPS"] = error.reason
            raise
        self._heard[page.url, "HTTPS"] = page
        return page


def size(records: tuple[Record, ...]) -> int:
    """The characters of all values."""
    return sum([len(value) for record in records for value in record.values])


class Allowance:
    """What may still be kept of one check's texts."""

    def __init__(self) -> None:
        self._left = MAX_TEXT

    def bounded(self, value: Any) -> Any:
        """The JSON value, or the tuple of records, with texts cut where they are too much."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Record):
            return value._replace(values=tuple(map(self._text, value.values)))
        if isinstance(value, Mapping):
            return {key: self.bounded(each) for key, each in value.items()}
        if isinstance(value, list | tuple):
            return type(value)(map(self.bounded, value))
        return value

    def fits(self, length: int) -> bool:
        """Whether so many characters, in one piece, may be kept; then they count."""
        if length > min(MAX_VALUE, self._left):
            return False
        self._left -= length
        return True

    def _text(self, text: str) -> str:
        if self.fits(len(text)):
            return text
        return shortened(text, MAX_VALUE if self.fits(MAX_VALUE) else 0)


def shortened(text: str, most: int) -> str:
    """The first ``most`` characters of a longer text, and a mark."""
    missing = len(text) - most
    if missing <= _MARK:
        return text
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]
    return f"{text[:most]}… [{missing} more characters; sha256 {digest}]"


def _record(name: str, rdtype: str, heard: Answer | Page | str) -> Record:
    """heard  a text is the reason why there was no answer"""
    if isinstance(heard, Answer):
        return Record(name, rdtype, heard.rcode, heard.ttl, tuple(map(str, heard.rdatas)))
    if isinstance(heard, str):
        return Record(name, rdtype, heard, 0, ())
    text = heard.body.decode("utf-8", "backslashreplace")
    return Record(name, rdtype, heard.failure or str(heard.status), 0, (text,) if text else ())
