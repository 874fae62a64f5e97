"""Simulation of another policy with the mail in the stored reports.

The results of the receivers are trusted: they stay the same as long as the alignment mode and the
records of senders are unchanged. Only a result that the proposal changes is computed again, from
the raw results in the report; where these are insufficient, the messages are counted as uncertain.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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
    """The alignment modes of DKIM and SPF: r(elaxed) or s(trict)."""

    adkim: str = "r"
    aspf: str = "r"


@dataclass(frozen=True, slots=True)
class PolicyProposal:
    """The proposed policy to simulate.

    current      the alignment modes when the mail was evaluated
    remove_spf   terms to remove from the domain's SPF record, as written, or their domains
    add_dkim     keys of sources that would sign with the domain's DKIM key
    """

    p: Policy
    sp: Policy
    np: Policy
    modes: Modes = Modes()
    current: Modes = Modes()
    remove_spf: frozenset[str] = frozenset()
    add_dkim: frozenset[str] = frozenset()

    @property
    def removed_terms(self) -> Sequence[str]:
        """The SPF terms to remove, in alphabetical order."""
        return sorted(self.remove_spf)

    @property
    def signing_sources(self) -> Sequence[str]:
        """The sources that would sign, in alphabetical order."""
        return sorted(self.add_dkim)


class Mail(NamedTuple):
    """The mail of one source with one identity.

    source  key of the source
    flows   messages by address
    """

    identity: Identity
    source: str
    flows: Sequence[Flow]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The simulated result for mail with one identity.

    disposition  none for mail that passes
    is_uncertain  the reason why the result is uncertain; None if it is certain
    """

    passed: bool
    disposition: Policy
    is_uncertain: str | None = None


Authorizes = Callable[[str], bool | None]  # whether a record authorizes an address; None: unknown

NO_DKIM_RESULT = "DKIM passed in alignment, but the report does not name the domain"
NO_SPF_RESULT = "SPF passed in alignment, but the report does not name the domain"
MAY_NOT_EXIST = "np applies instead of sp if the subdomain does not exist"
OTHER_MODE = "SPF may pass by a term whose addresses the scan did not resolve"


@dataclass(slots=True)
class Replay:
    """The result of a simulation.

    affected            messages that would be quarantined or rejected
    newly_affected      affected messages that were delivered when they were received
    no_longer_affected  messages that were quarantined or rejected, and would be delivered
    uncertain           messages with an uncertain result, by reason
    overridden          affected messages whose receivers did less than the policy requested
    identities          identities of affected mail
    unaffected          identities of mail that is not affected
    mail                affected mail by source
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
    """The simulation of a proposal for one domain."""

    def __init__(
        self,
        domain: str,
        proposal: PolicyProposal,
        spf: SpfPaths | None,
        org_domain: str | None = None,
    ) -> None:
        self._domain, self._proposal, self._spf, self._org_domain = (
            domain,
            proposal,
            spf,
            org_domain,
        )
        self._results: dict[tuple[Identity, bool, bool | None], Outcome] = {}

    def run(self, mail: Iterable[Mail], authorizes: "Authorizes | None" = None) -> Replay:
        """Return the result for all of the mail; its sums are over the affected mail.

        authorizes  whether another SPF record of the domain authorizes an address; without it, the
                    record without the terms that the proposal removes
        """
        replay = Replay()
        for sent in mail:
            signs = sent.source in self._proposal.add_dkim
            for lets, part in self._by_own_record(sent, authorizes):
                self._count(replay, part, self._outcome(sent.identity, signs, lets))
        return replay

    def _by_own_record(
        self, mail: Mail, authorizes: "Authorizes | None"
    ) -> Iterable[tuple[bool | None, Mail]]:
        """The mail, split by whether the domain's SPF record still authorizes its addresses."""
        identity = mail.identity
        if authorizes is None and self._proposal.remove_spf:
            authorizes = self._still_lets
        if authorizes is None or not identity.passes_spf_of(self._domain):
            return [(True, mail)]
        parts: dict[bool | None, list[Flow]] = {}
        for flow in mail.flows:
            parts.setdefault(authorizes(flow.source_ip), []).append(flow)
        return [(lets, Mail(identity, mail.source, flows)) for lets, flows in parts.items()]

    def _outcome(self, identity: Identity, signs: bool, lets: bool | None) -> Outcome:
        key = (identity, signs, lets)
        outcome = self._results.get(key)
        if outcome is None:
            outcome = self._results[key] = self._replay(*key)
        return outcome

    def _count(self, replay: Replay, mail: Mail, outcome: Outcome) -> None:
        """Add mail with one outcome to the sums."""
        identity, flows = mail.identity, mail.flows
        count = sum(
            [flow[2] for flow in flows]
        )  # thousands of flows: attribute access would cost more than the sum
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
        dkim, dkim_caveat = self._aligned(
            identity,
            identity.dkim,
            identity.dkim_results,
            (proposal.current.adkim, proposal.modes.adkim),
            NO_DKIM_RESULT,
        )
        spf, spf_caveat = self._aligned(
            identity,
            identity.spf,
            identity.spf_results,
            (proposal.current.aspf, proposal.modes.aspf),
            NO_SPF_RESULT,
        )
        if spf and lets is not True:
            spf, spf_caveat = (False, None) if lets is False else (True, OTHER_MODE)
        if signs or (dkim and not dkim_caveat) or (spf and not spf_caveat):
            return Outcome(True, Policy.NONE)
        if dkim or spf:
            return Outcome(True, Policy.NONE, dkim_caveat or spf_caveat)
        if identity.header_from == self._domain:
            return Outcome(False, proposal.p)
        return Outcome(False, proposal.sp, None if proposal.np is proposal.sp else MAY_NOT_EXIST)

    def _aligned(
        self,
        identity: Identity,
        evaluated: bool,
        results: Sequence[tuple[str, str, str]],
        modes: tuple[str, str],
        caveat: str,
    ) -> tuple[bool, str | None]:
        """Whether the method still passes in alignment, and why that is uncertain."""
        current, proposed = modes
        if current == proposed:
            return evaluated, None
        passing = [name for name, _, result in results if result == PASS]
        author, org_domain = identity.header_from, self._org_domain
        if proposed == "r":
            relaxed = any(
                alignment.is_aligned(name, author, org_domain=org_domain) for name in passing
            )
            return evaluated or relaxed, None
        if not evaluated:
            return False, None
        if author in passing:
            return True, None
        named = any(alignment.is_aligned(name, author, org_domain=org_domain) for name in passing)
        return (False, None) if named else (True, caveat)

    def _still_lets(self, address: str) -> bool | None:
        """Whether the remaining SPF record authorizes the address; None: unknown.

        returns  True also if the removed terms do not concern the address
        """
        removed = self._proposal.remove_spf
        if self._spf is None:
            return None
        terms = self._spf.authorizing(address) if address else ()
        remaining = [term for term in terms if not removed.intersection((term.text, term.domain))]
        if remaining:
            return True
        removed_terms = [t for t in self._spf.terms if removed.intersection((t.text, t.domain))]
        if not removed_terms:
            return True
        others = [term for term in self._spf.terms if term not in removed_terms]
        if terms:
            return None if any(term.is_open for term in others) else False
        return None if any(term.is_open for term in removed_terms) or not address else True


def confidence(replay: Replay, days: int) -> Literal["high", "medium", "low"]:
    """Return the confidence in a result, by messages, days with reports, and uncertain messages."""
    uncertain = replay.uncertain.total()
    if replay.messages >= 1_000 and days >= 14 and uncertain * 100 <= replay.messages:
        return "high"
    if replay.messages >= 100 and days >= 7 and uncertain * 20 <= replay.messages:
        return "medium"
    return "low"
