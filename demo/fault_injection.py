"""How the name server misbehaves: which zones are signed or bogus, which names are in trouble."""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from enum import Enum

import dns.name
import dns.rdatatype


class Trouble(Enum):
    """What becomes of a question instead of its answer.

    TIMEOUT         nothing, ever
    TRUNCATED       TC over UDP, whatever the size; TCP answers
    LIE             first an answer with another id and another content, then the right one
    WRONG_QUESTION  an answer to something that was not asked
    GARBAGE         the id, and then bytes that are no DNS message
    LOOP            two CNAMEs that point to each other
    """

    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    TRUNCATED = "truncated"
    LIE = "lie"
    WRONG_QUESTION = "wrong question"
    GARBAGE = "garbage"
    LOOP = "loop"


@dataclass(frozen=True, slots=True)
class Slow:
    """The right answer, so many seconds late."""

    seconds: float


Fault = Trouble | Slow


@dataclass(frozen=True, slots=True)
class Manners:
    """What the zone files do not say.

    signed  zones whose names are answered with AD; ``.`` is the root
    bogus   zones that fail validation: SERVFAIL, unless the question has CD
    faults  by name: it and all below it; by (name, type): that question alone
    """

    signed: Set[str] = frozenset()
    bogus: Set[str] = frozenset()
    faults: Mapping[str | tuple[str, str], Fault] = field(default_factory=dict)

    def fault(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> Fault | None:
        """The fault of this question, the most special one, or None."""
        labels = name.canonicalize().to_text(omit_final_dot=True).split(".")
        if found := self.faults.get((".".join(labels), rdtype.name)):
            return found
        names = (".".join(labels[index:]) for index in range(len(labels)))
        return next((self.faults[name] for name in names if name in self.faults), None)
