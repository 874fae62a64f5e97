"""What draft SPF and DMARC records would have done to the email in the stored reports."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.analysis.mail.sources import Source
from app.analysis.mail.spf_paths import SpfPaths
from app.analysis.policy.published import Published, effective
from app.analysis.policy.simulation import (
    Mail,
    Modes,
    PolicyProposal,
    Replay,
    SimulationResult,
)
from app.protocols.dmarc import Policy

MAX_ADDRESSES = 10  # listed of one sender


@dataclass(frozen=True, slots=True)
class PolicyInForce:
    """The policy that receivers apply to email of the domain and of the names below it."""

    p: Policy
    sp: Policy
    np: Policy
    adkim: str
    aspf: str

    @classmethod
    def of(cls, published: Published) -> "PolicyInForce":
        """Return the policy of the record, with defaults for missing tags."""
        record = published.record
        p = effective(record.p, record) or Policy.NONE
        sp = effective(record.sp, record) or p
        np = effective(record.np, record) or sp
        return cls(p=p, sp=sp, np=np, adkim=record.adkim.value, aspf=record.aspf.value)

    def proposal(self, current: "PolicyInForce") -> PolicyProposal:
        """Return the proposal to simulate on email that was evaluated under ``current``."""
        return PolicyProposal(
            p=self.p,
            sp=self.sp,
            np=self.np,
            modes=Modes(self.adkim, self.aspf),
            current=Modes(current.adkim, current.aspf),
        )


@dataclass(frozen=True, slots=True)
class SpfOfRecords:
    """The senders that the domain's SPF record authorizes.

    authorizes_all  the record ends in ``+all``
    """

    paths: SpfPaths
    authorizes_all: bool = False

    @classmethod
    def from_result(cls, domain: str, result: Mapping[str, Any]) -> "SpfOfRecords":
        """Return what the result of check ``spf`` authorizes: nothing after a permanent error."""
        facts = result["facts"]
        paths = SpfPaths.from_result(domain, result) if facts.get("result") == "valid" else None
        return cls(paths or SpfPaths(domain, ()), facts.get("all") == "+all")

    def authorizes(self, address: str, before: "SpfOfRecords") -> bool | None:
        """Return whether the record authorizes an address for which SPF passed before.

        returns  None if it may be one of the addresses that no scan resolves
        """
        if self.authorizes_all:
            return True
        if not address:
            return None
        if self.paths.authorizing(address):
            return True
        is_open = any(term.is_open for term in self.paths.terms)
        if before.paths.authorizing(address):
            return None if is_open else False
        opened = {term.text for term in before.paths.terms if term.is_open}
        remaining = {term.text for term in self.paths.terms}
        if opened and opened <= remaining:
            return True  # it passed by one of these terms, and all of them are still there
        return None if opened or is_open else False


@dataclass(slots=True)
class SpfLoss:
    """The email of one source for which SPF would no longer pass.

    messages   that SPF passed for by the domain's own record, and would not
    uncertain  messages of addresses that may still be authorized
    addresses  the messages of each address that is no longer authorized
    """

    source: Source
    messages: int = 0
    uncertain: int = 0
    addresses: Counter[str] = field(default_factory=Counter)

    @property
    def top_addresses(self) -> Sequence[tuple[str, int]]:
        """The addresses with the most messages."""
        return self.addresses.most_common(MAX_ADDRESSES)


@dataclass(frozen=True, slots=True)
class AffectedSource:
    """The messages of a source that are quarantined or rejected, before and after."""

    source: Source
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class PolicyEffect:
    """What the policies do to the reported email.

    sources  those with more affected messages than before, the largest increase first
    """

    before: Replay
    after: Replay
    sources: Sequence[AffectedSource]


class DraftMail:
    """The reported email of a domain, to which drafts are applied.

    before, after  the SPF records; both None if the draft does not change SPF
    """

    def __init__(
        self,
        domain: str,
        mail: Sequence[Mail],
        sources: Iterable[Source],
        org_domain: str | None = None,
    ) -> None:
        self._domain, self._mail, self._org_domain = domain, mail, org_domain
        self._sources = {source.key: source for source in sources}

    def spf_losses(self, before: SpfOfRecords, after: SpfOfRecords) -> list[SpfLoss]:
        """Return the sources that lose SPF, those with the most messages first."""
        losses: dict[str, SpfLoss] = {}
        for sent, address, count in self._passing_flows():
            is_authorized = after.authorizes(address, before)
            if is_authorized:
                continue
            loss = losses.setdefault(sent.source, SpfLoss(self._sources[sent.source]))
            if is_authorized is None:
                loss.uncertain += count
            else:
                loss.messages += count
                loss.addresses[address] += count
        return sorted(losses.values(), key=lambda loss: (-loss.messages, -loss.uncertain))

    def policy_effect(
        self,
        policies: tuple[PolicyInForce, PolicyInForce],
        spf: tuple[SpfOfRecords, SpfOfRecords] | None,
    ) -> PolicyEffect:
        """Return the effect of both policies, before and after.

        spf  the SPF records before and after; None if the draft does not change them
        """
        old, new = policies
        before = self._replay(old.proposal(old), None)
        after = self._replay(new.proposal(old), spf)
        increases = [
            AffectedSource(self._sources[key], before.sources[key], count)
            for key, count in after.sources.items()
            if count > before.sources[key]
        ]
        increases.sort(key=lambda source: source.before - source.after)
        return PolicyEffect(before, after, increases)

    def _replay(
        self, proposal: PolicyProposal, spf: tuple[SpfOfRecords, SpfOfRecords] | None
    ) -> Replay:
        simulation = SimulationResult(
            domain=self._domain, proposal=proposal, spf=None, org_domain=self._org_domain
        )
        if spf is None:
            return simulation.run(self._mail)
        before, after = spf
        return simulation.run(self._mail, lambda address: after.authorizes(address, before))

    def _passing_flows(self) -> Iterator[tuple[Mail, str, int]]:
        """The mail for which SPF passed by the domain's record, by address, with its messages."""
        for sent in self._mail:
            if sent.identity.passes_spf_of(self._domain):
                for flow in sent.flows:
                    yield sent, flow.source_ip, flow.messages
