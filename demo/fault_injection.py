"""Fault injection for the name server: signed and bogus zones, and faults of names."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import Enum

import dns.name
import dns.rdatatype


class Failure(Enum):
    """The fault that replaces an answer.

    TIMEOUT         no answer
    TRUNCATED       TC over UDP for any size; a complete answer over TCP
    LIE             first a spoofed answer with another id, then the correct one
    WRONG_QUESTION  an answer to another question
    GARBAGE         the id, followed by bytes that are not a DNS message
    LOOP            two CNAMEs that point to each other
    """

    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    SPOOFED = "lie"
    WRONG_QUESTION = "wrong question"
    GARBAGE = "garbage"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Slow:
    """The correct answer after a delay."""

    seconds: float


Fault = Failure | Slow


@dataclass(frozen=True, slots=True)
class Behavior:
    """The behavior that zone files cannot describe.

    signed  zones whose names are answered with AD; ``.`` is the root
    bogus   zones that fail validation: SERVFAIL, unless the query has CD
    faults  by name: the name and its subdomains; by (name, type): only that query
    """

    signed: Set[str] = frozenset()
    bogus: Set[str] = frozenset()
    faults: Mapping[str | tuple[str, str], Fault] = field(default_factory=dict)

    def fault(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Fault | None:
        """Return the most specific fault of this query, or None."""
        labels = name.canonicalize().to_text(omit_final_dot=True).split(".")
        if fault := self.faults.get((".".join(labels), rdtype.name)):
            return fault
        names = (".".join(labels[index:]) for index in range(len(labels)))
        return next((self.faults[name] for name in names if name in self.faults), None)
