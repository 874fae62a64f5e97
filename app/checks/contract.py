"""What a check is: it asks DNS, and says what it saw, or that it could not see.

A check is a coroutine over ``Answers``. It never catches ``Undetermined``: ``judge`` turns it into
the verdict of that name, so that a failed look-up can never read as "missing" (RFC 2308 §7,
RFC 9989 §4.10.1).
"""

import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple

from app.checks import evidence
from app.checks.answers import Answers, Handshake, Undetermined
from app.checks.evidence import Record, Witness
from app.protocols.names import DomainName

logger = logging.getLogger(__name__)


class Verdict(StrEnum):
    """What a check says of a domain, from best to worst; the last is no judgement at all."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"
    UNDETERMINED = "undetermined"


class Severity(StrEnum):
    """How much a finding or an alert matters, worst first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    INFO = "info"

    @property
    def rank(self) -> int:
        """0 for critical … 4 for info."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Usage(StrEnum):
    """What a domain is used for; it changes what is expected of it."""

    BOTH = "sends-and-receives"
    SENDS = "sends-only"
    RECEIVES = "receives-only"
    PARKED = "parked"


_VERDICT_OF = {
    Severity.CRITICAL: Verdict.FAIL,
    Severity.HIGH: Verdict.FAIL,
    Severity.MEDIUM: Verdict.WARN,
    Severity.LOW: Verdict.WARN,
    Severity.INFO: Verdict.OK,
}
MAX_SEEN_SELECTORS = 30  # of one subject; there may be more when there are so many
MAX_OF_KIND = 30  # findings: a record may be made to give thousands, each as large as the record
_BADNESS = [Verdict.OK, Verdict.INFO, Verdict.WARN, Verdict.FAIL]


class Fix(NamedTuple):
    """What to change in DNS, exactly, how to take it back, and why.

    action  ``publish``, ``replace`` or ``remove``
    """

    action: Literal["publish", "replace", "remove"]
    name: str
    type: str
    before: str | None
    after: str | None
    rollback: str
    why: str

    @property
    def size(self) -> int:
        """The characters of what it would change."""
        return len(self.before or "") + len(self.after or "") + len(self.rollback)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of finding. Its code is public API and never changes its meaning.

    flaps    whether it depends on more than DNS says: an alert waits for a second definite sight
    verdict  what the check's verdict becomes at least; unless given it follows from the severity,
             ``info`` being no blemish
    """

    code: str
    severity: Severity
    summary: str
    reference: str
    verdict: Verdict | None = None
    flaps: bool = False

    def at(
        self,
        name: str,
        *,
        fix: Fix | None = None,
        severity: Severity | None = None,
        **evidence: Any,
    ) -> "Finding":
        """A finding of this kind about ``name``; ``evidence`` must be JSON."""
        return Finding(self, name, evidence, fix, severity or self.severity)


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check saw at one name; (kind.code, subject) is unique within a domain."""

    kind: Kind
    subject: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fix: Fix | None = None
    severity: Severity = Severity.INFO

    @property
    def verdict(self) -> Verdict:
        """What it makes of the check's verdict at least."""
        return self.kind.verdict or _VERDICT_OF[self.severity]


class Outcome:
    """What a check saw, whole; of findings of the same kind about the same name the first counts.

    facts     JSON; names as in the documentation of the checks; ``findings_left_out`` is how many
              there were beyond the first ``MAX_OF_KIND`` of their kind
    definite  False where the verdict stands but says nothing about what other findings have become
              (a server that does not answer): no alert is opened or resolved on it
    """

    __slots__ = ("definite", "facts", "findings")

    def __init__(self, facts: Mapping[str, Any], *findings: Finding, definite: bool = True) -> None:
        if len(findings) <= 1:  # mostly
            self.findings, self.facts, self.definite = findings, facts, definite
            return
        first = {(found.kind.code, found.subject): found for found in reversed(findings)}
        wanted = {id(found) for found in first.values()}
        counts = Counter[str]()
        kept = []
        for found in findings:
            if id(found) in wanted:
                counts[found.kind.code] += 1
                if counts[found.kind.code] <= MAX_OF_KIND:
                    kept.append(found)
        left_out = counts.total() - len(kept)
        self.findings = tuple(kept)
        self.facts = {**facts, "findings_left_out": left_out} if left_out else facts
        self.definite = definite

    @property
    def verdict(self) -> Verdict:
        """The worst that a finding makes of it; ``ok`` without any."""
        return max(
            (found.verdict for found in self.findings), key=_BADNESS.index, default=Verdict.OK
        )


def concluded(
    facts: Mapping[str, Any],
    findings: Iterable[Finding],
    unseen: Sequence[Undetermined],
    *,
    is_whole: bool = True,
) -> Outcome:
    """What was seen of a subject of many parts; seen in part, it is never "ok".

    unseen    why parts could not be seen: blemishes of the others stand, but are not definite
    is_whole  False if less was seen than is needed to say what has become of other findings
    raises    Undetermined, the first of ``unseen``, if nothing is bad enough to stand alone
    """
    outcome = Outcome(facts, *findings, definite=is_whole and not unseen)
    if unseen and outcome.verdict in (Verdict.OK, Verdict.INFO):
        raise unseen[0]
    return outcome


def unasked(**beyond: int) -> dict[str, int]:
    """The facts that say how many were not looked at, where a limit left any out."""
    return {name: count for name, count in beyond.items() if count > 0}


class ObservedPolicy(NamedTuple):
    """What a reporter says was the domain's DMARC policy; tags as written, None if not said.

    begin_at  when the time begins that it reports of
    """

    reporter: str
    begin_at: datetime
    p: str
    sp: str | None = None
    adkim: str | None = None
    aspf: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is examined, and what its owner says of it.

    dkim_selectors  those the owner named
    seen_selectors  (selector, domain) of signatures in reports by the domain or one below it
    known           the facts of each check's last definite judgement
    shared_keys     the account's other domains with the same DKIM key, by SHA-256 of the key
    observed        the last policy that each reporter of the last days has told of
    handshakes      what was lately seen of mail hosts, by name; None if they are not connected to
    now             when it is examined; without it nothing is said of what ends soon
    """

    domain: DomainName
    usage: Usage = Usage.BOTH
    dkim_selectors: tuple[str, ...] = ()
    seen_selectors: tuple[tuple[str, str], ...] = ()
    known: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shared_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    observed: tuple[ObservedPolicy, ...] = ()
    handshakes: Mapping[str, Handshake] | None = None
    now: datetime | None = None


Run = Callable[[Subject, Answers], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Check:
    """One question about a domain. ``logic_version`` rises when its judgement changes."""

    name: str
    finds: tuple[Kind, ...]
    logic_version: int
    run: Run


def check(name: str, *, finds: Sequence[Kind], logic_version: int = 1) -> Callable[[Run], Check]:
    """Make a check of a coroutine; ``finds`` lists every kind it can yield."""
    return lambda run: Check(name, tuple(finds), logic_version, run)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one check said in one scan.

    definite  False if undetermined, or if the outcome says so: then it opens and closes no alert
    reason    why it is undetermined, for people
    """

    check: str
    logic_version: int
    verdict: Verdict
    facts: Mapping[str, Any]
    findings: tuple[Finding, ...]
    records: tuple[Record, ...]
    elapsed_ms: int
    definite: bool
    reason: str | None = None


async def judge(check: Check, subject: Subject, dns: Answers) -> Judgement:
    """What the check says of the subject; undetermined if DNS fails it, or by a bug (logged)."""
    witness = Witness(dns)
    started = time.monotonic()
    outcome: Outcome | None = None
    reason: str | None = None
    try:
        outcome = await check.run(subject, witness)
    except Undetermined as error:
        reason = str(error)
    except Exception:  # a bug in one check costs only its own judgement
        logger.exception("check failed", extra={"check": check.name, "domain": subject.domain})
        reason = "the check failed; this is a defect of the service"
    verdict = outcome.verdict if outcome else Verdict.UNDETERMINED
    facts = outcome.facts if outcome else {"undetermined": True}
    findings, records = outcome.findings if outcome else (), witness.records()
    if evidence.size(records) > evidence.SMALL:
        records = evidence.Allowance().bounded(records)
        facts, findings = _bounded(facts, findings)
    return Judgement(
        check=check.name,
        logic_version=check.logic_version,
        verdict=verdict,
        facts=facts,
        findings=findings,
        records=records,
        elapsed_ms=round((time.monotonic() - started) * 1000),
        definite=outcome.definite if outcome else False,
        reason=reason,
    )


def _bounded(
    facts: Mapping[str, Any], findings: Sequence[Finding]
) -> tuple[Mapping[str, Any], tuple[Finding, ...]]:
    """The same, with long texts cut; a fix is exact, or it is none."""
    allowance = evidence.Allowance()
    facts = allowance.bounded(facts)
    return facts, tuple(
        replace(
            found,
            subject=evidence.shortened(found.subject, evidence.MAX_SUBJECT),
            evidence=allowance.bounded(found.evidence),
            fix=found.fix if found.fix and allowance.fits(found.fix.size) else None,
        )
        for found in findings
    )
