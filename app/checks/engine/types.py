"""The types of checks, findings and results.

A check is a coroutine over DNS answers. It never catches ``LookupFailed``: ``run_check`` turns it
into the verdict *undetermined*, so that a failed lookup is never reported as a missing record
(RFC 2308 §7, RFC 9989 §4.10.1).
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal, NamedTuple, TypedDict

from app.checks.engine.evidence import Record
from app.ports.dns import LookupFailed
from app.ports.network import NetworkSession
from app.ports.smtp import TlsProbe
from app.protocols.names import DomainName


class Verdict(StrEnum):
    """The result of a check, from best to worst; ``UNDETERMINED`` means that there is no result."""

    OK = "ok"
    INFO = "info"
    WARN = "warn"
    FAIL = "fail"
    UNDETERMINED = "undetermined"


class Severity(StrEnum):
    """The severity of a finding or an alert, worst first."""

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
    """What a domain is used for; the checks expect different records for each usage."""

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
MAX_OBSERVED_SELECTORS = 30  # of one subject; with this many, the list may be incomplete
MAX_PER_FINDING_TYPE = (
    30  # findings: a hostile record could cause thousands, each as large as itself
)
_VERDICT_ORDER = [Verdict.OK, Verdict.INFO, Verdict.WARN, Verdict.FAIL]


class StoredFix(TypedDict):
    """A fix as it is stored and shown to clients; its keys are the fields of ``Fix``."""

    action: str
    name: str
    type: str
    before: str | None
    after: str | None
    rollback: str
    why: str


class Fix(NamedTuple):
    """The exact change to make in DNS, how to undo it, and the reason for it.

    action  ``publish``, ``replace`` or ``remove``
    """

    action: Literal["publish", "replace", "remove"]
    name: str
    type: str
    before: str | None
    after: str | None
    rollback: str
    why: str

    @classmethod
    def publish_txt(cls, name: str, record: str, why: str) -> "Fix":
        """Return the fix that publishes a TXT record where there is none."""
        return cls(
            action="publish",
            name=name,
            type="TXT",
            before=None,
            after=record,
            rollback="Remove the record.",
            why=why,
        )

    @classmethod
    def replace_txt(cls, name: str, records: Sequence[str], *, after: str, why: str) -> "Fix":
        """Return the fix that replaces one or several TXT records with one."""
        back = (
            f"Publish the previous record again: {records[0]}"
            if len(records) == 1
            else "Publish the previous records again."
        )
        return cls(
            action="replace",
            name=name,
            type="TXT",
            before="\n".join(records),
            after=after,
            rollback=back,
            why=why,
        )

    @property
    def size(self) -> int:
        """The number of characters in the records of the change."""
        return len(self.before or "") + len(self.after or "") + len(self.rollback)

    def as_json(self) -> StoredFix:
        """The fix as it is stored and shown to clients."""
        return StoredFix(
            action=self.action,
            name=self.name,
            type=self.type,
            before=self.before,
            after=self.after,
            rollback=self.rollback,
            why=self.why,
        )


@dataclass(frozen=True, slots=True)
class FindingType:
    """A type of finding. Its code is public API and never changes its meaning.

    observed      what was observed, with the subject and the evidence in braces (``observation``)
    why           what happens because of it, in one sentence, whatever its severity
    remediation   what to do, in one or two sentences; code in the texts is in back quotes
    note          for the documentation: when it is reported, or has another severity
    flaps         whether it depends on more than DNS; an alert then waits for a second scan
    hides_others  whether the record could not be read, so that a fix may reveal lesser findings
    conceals      codes that cannot be found while it is reported, as an answer is missing; their
                  alerts stay as they are
    is_syntax     whether it is about the syntax of the record, which every fix must have corrected
    leads_to      codes that its fix may reveal, because they are the next step
    decided_on    the page of the domain that shows whether its remediation is safe
    verdict       the best verdict that the check can have with this finding; by default it follows
                  from the severity, and ``info`` leaves it ``ok``
    """

    code: str
    severity: Severity
    summary: str
    observed: str
    why: str
    remediation: str
    reference: str
    note: str = ""
    verdict: Verdict | None = None
    flaps: bool = False
    hides_others: bool = False
    conceals: tuple[str, ...] = ()
    is_syntax: bool = False
    leads_to: tuple[str, ...] = ()
    decided_on: Literal["policy"] | None = None

    @property
    def meaning(self) -> str:
        """What the finding means, as the documentation says it."""
        verdict = f"Verdict: {self.verdict}." if self.verdict else ""
        return " ".join(filter(None, (f"{self.summary}.", self.why, self.note, verdict)))

    def at(
        self,
        name: str,
        *,
        fix: Fix | None = None,
        severity: Severity | None = None,
        **evidence: Any,
    ) -> "Finding":
        """A finding of this type about ``name``; ``evidence`` must be JSON."""
        return Finding(
            kind=self,
            subject=name,
            evidence=evidence,
            fix=fix,
            severity=severity or self.severity,
        )


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem or an observation at one name; (kind.code, subject) is unique within a domain."""

    kind: FindingType
    subject: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    fix: Fix | None = None
    severity: Severity = Severity.INFO

    @property
    def verdict(self) -> Verdict:
        """The best verdict that the check can have with this finding."""
        return self.kind.verdict or _VERDICT_OF[self.severity]


class Outcome:
    """The facts and findings of a check; only the first finding per code and subject counts.

    facts     JSON; names as in the documentation of the checks; ``findings_left_out`` is the number
              of findings beyond the first ``MAX_OF_KIND`` of their type
    definite  False if the verdict holds, but other findings may have been missed (a server does not
              answer): no alert is opened or resolved because of it
    failure   the failed lookup because of which the verdict is undetermined, next to the findings
    """

    __slots__ = ("definite", "facts", "failure", "findings")

    def __init__(self, facts: Mapping[str, Any], *findings: Finding, definite: bool = True) -> None:
        self.failure: LookupFailed | None = None
        if len(findings) <= 1:  # the most common case
            self.findings, self.facts, self.definite = findings, facts, definite
            return
        first = {(finding.kind.code, finding.subject): finding for finding in reversed(findings)}
        unique_ids = {id(finding) for finding in first.values()}
        counts = Counter[str]()
        retained = []
        for finding in findings:
            if id(finding) in unique_ids:
                counts[finding.kind.code] += 1
                if counts[finding.kind.code] <= MAX_PER_FINDING_TYPE:
                    retained.append(finding)
        left_out = counts.total() - len(retained)
        self.findings = tuple(retained)
        self.facts = {**facts, "findings_left_out": left_out} if left_out else facts
        self.definite = definite

    def with_findings(self, findings: Sequence[Finding]) -> "Outcome":
        """The outcome with more findings."""
        if not findings:
            return self
        outcome = Outcome(self.facts, *self.findings, *findings, definite=self.definite)
        outcome.failure = self.failure
        return outcome

    @property
    def verdict(self) -> Verdict:
        """The worst verdict of the findings; ``ok`` without any; undetermined after a failure."""
        if self.failure is not None:
            return Verdict.UNDETERMINED
        return max(
            (finding.verdict for finding in self.findings),
            key=_VERDICT_ORDER.index,
            default=Verdict.OK,
        )


def finish(
    facts: Mapping[str, Any],
    findings: Iterable[Finding],
    failures: Sequence[LookupFailed],
    *,
    worst: Verdict = Verdict.FAIL,
) -> Outcome:
    """The outcome of a check with several parts; a failed lookup never makes the verdict better.

    failures  the failed lookups; findings about the other parts are returned, but not definite
    worst     the worst verdict that the missing answers can cause; a better one is undetermined
    raises    the first of ``failures`` if no finding makes the verdict warn or fail
    """
    outcome = Outcome(facts, *findings, definite=not failures)
    if failures and outcome.verdict in (Verdict.OK, Verdict.INFO):
        raise failures[0]
    if failures and _VERDICT_ORDER.index(outcome.verdict) < _VERDICT_ORDER.index(worst):
        outcome.failure = failures[0]
    return outcome


def not_queried(**beyond: int) -> dict[str, int]:
    """The facts that say how many items a limit excluded from the check; empty if none."""
    return {name: count for name, count in beyond.items() if count > 0}


class ObservedPolicy(NamedTuple):
    """The DMARC policy that a reporter observed; tags as written, None if not reported.

    begin_at  the begin of the reported period
    """

    reporter: str
    begin_at: datetime
    p: str
    sp: str | None = None
    adkim: str | None = None
    aspf: str | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """The domain to check, and what is known about it.

    dkim_selectors      the selectors that the owner named
    observed_selectors  (selector, domain) of signatures in reports, by the domain or one below it
    last_facts          the facts of each check's last definite result
    last_results        these results as JSON; no check reads them, but the evaluation of the scan
    shared_keys         the account's other domains with the same DKIM key, by SHA-256 of the key
    observed            the latest policy that each reporter of the last days observed
    tls_probes          the latest TLS probes of mail hosts, by name; None if probes are disabled
    now                 the time of the scan; without it, nothing can expire soon
    """

    domain: DomainName
    usage: Usage = Usage.BOTH
    dkim_selectors: tuple[str, ...] = ()
    observed_selectors: tuple[tuple[str, str], ...] = ()
    last_facts: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    last_results: Mapping[str, Any] = field(default_factory=dict)
    shared_keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    observed: tuple[ObservedPolicy, ...] = ()
    tls_probes: Mapping[str, TlsProbe] | None = None
    now: datetime | None = None


Run = Callable[[Subject, NetworkSession], Awaitable[Outcome]]
Keeps = Callable[[Subject, Fix, NetworkSession, NetworkSession], Awaitable[bool]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check of a domain. ``logic_version`` rises when the same answers get another result.

    keeps  whether a fix keeps what the owner had, with the answers before and after it
    """

    name: str
    finds: tuple[FindingType, ...]
    logic_version: int
    run: Run
    keeps: Keeps | None = None


def check(
    name: str,
    *,
    finds: Sequence[FindingType],
    logic_version: int = 1,
    keeps: Keeps | None = None,
) -> Callable[[Run], Check]:
    """Turn a coroutine into a check; ``finds`` lists every type of finding that it can have."""
    return lambda run: Check(
        name=name, finds=tuple(finds), logic_version=logic_version, run=run, keeps=keeps
    )


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one check in one scan.

    definite  False if undetermined or if the outcome is not definite: no alert opens or closes
    reason    why it is undetermined, as text for people
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
