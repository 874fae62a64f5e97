"""What would have happened to the mail that reports tell of, under another policy. Pure.

What the receivers found is not doubted: as long as a way of alignment and the records of senders
stay as they are, so does the result. A result is worked out anew only where the proposal touches
it, from the raw results in the report; where those do not say enough, that is counted apart.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from app.analysis.mail import alignment
from app.analysis.mail.identities import Identity
from app.analysis.mail.sources import Flow
from app.analysis.mail.spf_paths import SpfPaths
from app.protocols.dmarc import Policy

PASS = "pass"
_RANK = {"pass": 0, "none": 0, "quarantine": 1, "reject": 2}


@dataclass(frozen=True, slots=True)
class Modes:
    """How near DKIM's and SPF's domains must be: r(elaxed) or s(trict)."""

    adkim: str = "r"
    aspf: str = "r"


@dataclass(frozen=True, slots=True)
class PolicyProposal:
    """What is to be tried.

    current      how alignment was asked for when the mail was judged
    remove_spf   terms of the domain's SPF record that are to go, as written, or what they include
    add_dkim     keys of sources that are to sign with the domain's key
    """

    p: Policy
    sp: Policy
    np: Policy
    modes: Modes = Modes()
    current: Modes = Modes()
    remove_spf: frozenset[str] = frozenset()
    add_dkim: frozenset[str] = frozenset()


class Mail(NamedTuple):
    """What one source sent with one identity.

    source  its key
    flows   the messages by address
    """

    identity: Identity
    source: str
    flows: Sequence[Flow]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of one kind of mail.

    disposition  none for what passes
    unsure       what the reports do not say, so that it may be otherwise
    """

    passed: bool
    disposition: Policy
    is_uncertain: str | None = None


NO_DKIM_RESULT = "DKIM passed in alignment, but the report does not say with which domain"
NO_SPF_RESULT = "SPF passed in alignment, but the report does not say with which domain"
MAY_NOT_EXIST = "np holds instead of sp if the sub-domain does not exist"
OTHER_MODE = "SPF may pass by a term whose addresses the scan has not seen"


@dataclass(slots=True)
class Replay:
    """What would have happened.

    hit          messages that quarantine or reject would have met
    newly_hit    … and that were delivered when they came
    spared       messages that were quarantined or rejected, and would not be
    unsure       messages by what is not known of them
    overridden   hit ones whose receivers did less than the policy asked; they may do so again
    identities   of mail that is hit; not_hit: of mail that is not
    mail         that is hit, by its source
    """

    messages: int = 0
    passed: int = 0
    affected: int = 0
    newly_affected: int = 0
    no_longer_affected: int = 0
    overridden: int = 0
    dispositions: Counter[str] = field(default_factory=Counter)
    uncertain: Counter[str] = field(default_factory=Counter)
    sources: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)
    header_from: Counter[str] = field(default_factory=Counter)
    identities: set[Identity] = field(default_factory=set)
    unaffected: set[Identity] = field(default_factory=set)
    mail: dict[str, list[Mail]] = field(default_factory=dict)


class SimulationResult:
    """A proposal for one domain, ready to be held against mail."""

    def __init__(
        self, domain: str, proposal: PolicyProposal, spf: SpfPaths | None, walked: str | None = None
    ) -> None:
        self._domain, self._proposal, self._spf, self._walked = domain, proposal, spf, walked
        self._results: dict[tuple[Identity, bool, bool | None], Outcome] = {}

    def run(self, mail: Iterable[Mail]) -> Replay:
        """What would have happened to all of it; sums are of the mail that is hit."""
        replay = Replay()
        for sent in mail:
            signs = sent.source in self._proposal.add_dkim
            for lets, some in self._by_own_record(sent):
                self._count(replay, some, self._outcome(sent.identity, signs, lets))
        return replay

    def _by_own_record(self, mail: Mail) -> Iterable[tuple[bool | None, Mail]]:
        """The mail by whether the domain's SPF record still lets its addresses pass."""
        removed, identity = self._proposal.remove_spf, mail.identity
        if not removed or not self._passes_by_own_record(identity):
            return [(True, mail)]
        parts: dict[bool | None, list[Flow]] = {}
        for flow in mail.flows:
            parts.setdefault(self._still_lets(flow.source_ip), []).append(flow)
        return [(lets, Mail(identity, mail.source, some)) for lets, some in parts.items()]

    def _outcome(self, identity: Identity, signs: bool, lets: bool | None) -> Outcome:
        key = (identity, signs, lets)
        found = self._results.get(key)
        if found is None:
            found = self._results[key] = self._replay(*key)
        return found

    def _count(self, replay: Replay, mail: Mail, outcome: Outcome) -> None:
        """Count mail that has one outcome."""
        identity, flows = mail.identity, mail.flows
        count = sum([flow[2] for flow in flows])  # thousands: a name would cost more than the sum
        replay.messages += count
        replay.passed += count * outcome.passed
        replay.dispositions[outcome.disposition.value] += count
        if outcome.is_uncertain:
            replay.uncertain[outcome.is_uncertain] += count
        before = _RANK.get(identity.disposition, 0)
        after = outcome.disposition.strength
        replay.no_longer_affected += count * (before > after)
        if after == 0:
            replay.unaffected.add(identity)
            return
        replay.affected += count
        replay.newly_affected += count * (before == 0)
        if not identity.passed and before < after and identity.reasons:
            replay.overridden += count
        replay.sources[mail.source] += count
        replay.header_from[identity.header_from] += count
        replay.identities.add(identity)
        replay.mail.setdefault(mail.source, []).append(mail)
        addresses = replay.addresses
        for address, _, messages, _, _ in flows:
            addresses[address] = addresses.get(address, 0) + messages

    def _replay(self, identity: Identity, signs: bool, lets: bool | None) -> Outcome:
        proposal = self._proposal
        dkim, dkim_unsure = self._aligned(
            identity, identity.dkim, identity.dkim_results,
            (proposal.current.adkim, proposal.modes.adkim), NO_DKIM_RESULT,
        )  # fmt: skip
        spf, spf_unsure = self._aligned(
            identity, identity.spf, identity.spf_results,
            (proposal.current.aspf, proposal.modes.aspf), NO_SPF_RESULT,
        )  # fmt: skip
        if spf and lets is not True:
            spf, spf_unsure = (False, None) if lets is False else (True, OTHER_MODE)
        if signs or (dkim and not dkim_unsure) or (spf and not spf_unsure):
            return Outcome(True, Policy.NONE)
        if dkim or spf:
            return Outcome(True, Policy.NONE, dkim_unsure or spf_unsure)
        if identity.header_from == self._domain:
            return Outcome(False, proposal.p)
        return Outcome(False, proposal.sp, None if proposal.np is proposal.sp else MAY_NOT_EXIST)

    def _aligned(
        self, identity: Identity, evaluated: bool, results: Sequence[tuple[str, str, str]],
        modes: tuple[str, str], unsaid: str,
    ) -> tuple[bool, str | None]:  # fmt: skip
        """Whether it still passes in alignment, and what is not known of that."""
        current, proposed = modes
        if current == proposed:
            return evaluated, None
        passing = [name for name, _, result in results if result == PASS]
        author, walked = identity.header_from, self._walked
        if proposed == "r":
            relaxed = any(alignment.is_aligned(name, author, walked=walked) for name in passing)
            return evaluated or relaxed, None
        if not evaluated:
            return False, None
        if author in passing:
            return True, None
        named = any(alignment.is_aligned(name, author, walked=walked) for name in passing)
        return (False, None) if named else (True, unsaid)

    def _still_lets(self, address: str) -> bool | None:
        """Whether the rest of the SPF record lets the address pass; None: it cannot be told.

        returns  True too if none of what is removed has to do with it
        """
        removed = self._proposal.remove_spf
        if self._spf is None:
            return None
        terms = self._spf.letting(address) if address else ()
        kept = [term for term in terms if not removed.intersection((term.text, term.domain))]
        if kept:
            return True
        gone = [t for t in self._spf.terms if removed.intersection((t.text, t.domain))]
        if not gone:
            return True
        others = [term for term in self._spf.terms if term not in gone]
        if terms:
            return None if any(term.is_open for term in others) else False
        return None if any(term.is_open for term in gone) or not address else True

    def _passes_by_own_record(self, identity: Identity) -> bool:
        """SPF passed by the record of the domain itself, which is the one that changes."""
        return any(
            name == self._domain and result == PASS for name, _, result in identity.spf_results
        )


def confidence(replay: Replay, days: int) -> Literal["high", "medium", "low"]:
    """How far the answer can be relied on: by messages, days with reports, and what is unsure."""
    unsure = replay.uncertain.total()
    if replay.messages >= 1_000 and days >= 14 and unsure * 100 <= replay.messages:
        return "high"
    if replay.messages >= 100 and days >= 7 and unsure * 20 <= replay.messages:
        return "medium"
    return "low"
