"""All that reports tell of a domain, or of an account, at one moment: what rules look at."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.analysis.mail.identities import Identity
from app.analysis.mail.reporters import Reporter
from app.analysis.mail.sources import Source
from app.analysis.mail.unused import SelectorUse, Subdomain
from app.analysis.policy.readiness import PolicyStep
from app.checks.engine.types import Severity
from app.protocols.names import DomainName

RECENT_DAYS, BASELINE_DAYS = 3, 28  # reports come a day or two after the mail


@dataclass(frozen=True, slots=True)
class Volume:
    """Messages, and how many failed DMARC, by reporter and day of UTC.

    passed_on  failed messages that forwarders sent, of all reporters
    """

    reporters: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)
    passed_on: int = 0

    @property
    def days(self) -> dict[int, tuple[int, int]]:
        """Messages and failed ones of all reporters, by day."""
        found: dict[int, tuple[int, int]] = {}
        for days in self.reporters.values():
            for day, (messages, failed) in days.items():
                known = found.get(day, (0, 0))
                found[day] = (known[0] + messages, known[1] + failed)
        return found

    def of(self, reporters: Iterable[str]) -> "Volume":
        """What these told of; each of them must have."""
        return Volume({name: self.reporters[name] for name in reporters}, self.passed_on)

    @property
    def messages(self) -> int:
        """All of them."""
        return sum(messages for messages, _ in self.days.values())

    @property
    def failed(self) -> int:
        """Those that failed."""
        return sum(failed for _, failed in self.days.values())

    @property
    def pass_rate(self) -> float:
        """From 0 to 1; there must be messages."""
        return 1 - self.failed / self.messages


@dataclass(frozen=True, slots=True)
class Mail:
    """A stretch of time: who sent, and how much on which day.

    verified  of reports by a way that strangers do not have; everything has the others too
    """

    everything: Volume = Volume()
    verified: Volume = Volume()
    sources: Sequence[Source] = ()
    identities: Mapping[int, Identity] = field(default_factory=dict)
    selectors: Sequence[SelectorUse] = ()
    subdomains: Sequence[Subdomain] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """Sessions of some days until now, and what failed."""

    days: int
    successful: int
    failed: int
    result_types: Mapping[str, int]
    hosts: Mapping[str, int]
    is_verified: bool


@dataclass(frozen=True, slots=True)
class ReportPosture:
    """What reports tell of a domain.

    usage           what the domain is for: both, sending, receiving or parked
    policy, rua     as the last scan saw the DMARC record; None: no scan has
    policy_since    since when the record is as it is, as far as is known
    last_report_at  when one came; None: never
    first_hour      of any mail that was reported; None: of none
    recent, before  the last RECENT_DAYS, and the BASELINE_DAYS before
    step            the next one, if the policy is not at reject
    failure_reports  of the last day, the newest first
    is_behind       reports may wait unread: that somebody is silent is not known
    signers         selectors that signed mail before and none lately: when they did
    """

    domain: DomainName
    now: datetime
    now_hour: int
    monitored_since: datetime
    usage: str = "both"
    policy: str | None = None
    rua: Sequence[str] | None = None
    policy_since: datetime | None = None
    last_report_at: datetime | None = None
    first_hour: int | None = None
    reporters: Sequence[Reporter] = ()
    recent: Mail = Mail()
    previous: Mail = Mail()
    tls: Sequence[Tls] = ()
    step: PolicyStep | None = None
    record_name: str | None = None
    failure_reports: Sequence[Mapping[str, str | None]] = ()
    failure_report_count: int = 0
    is_behind: bool = False
    signers: Sequence[Reporter] = ()

    def capped(self, severity: Severity) -> Severity:
        """The severity; info if all reports came by a way that strangers have, too."""
        is_verified = self.recent.verified.messages or self.previous.verified.messages
        return severity if is_verified else Severity.INFO


@dataclass(frozen=True, slots=True)
class GradedPosture:
    """What trusted reports tell of a domain, and what all its reports tell.

    trusted     without the unverified reports, which anybody can have sent
    everything  the same object if there are no unverified ones
    """

    trusted: ReportPosture
    everything: ReportPosture

    @property
    def now(self) -> datetime:
        """The moment at which all this is known."""
        return self.everything.now


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox whose pulls have failed in a row since then, and why the last one did."""

    id: str
    name: str
    failing_since: datetime
    failure: str


@dataclass(frozen=True, slots=True)
class SuspectReport:
    """Reports by mail that are not from whom they say, of one reporter, in the last week.

    authors  the domains that their mails said they were from, the newest first
    files    ids of some
    is_well_known  others came that were provably from there
    """

    reporter: str
    reports: int
    authors: Sequence[str]
    files: Sequence[str]
    is_well_known: bool


@dataclass(frozen=True, slots=True)
class DayFiles:
    """Files that ended in the last day, and how many of them are quarantined, by reason."""

    files: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def quarantined(self) -> int:
        """Those that could not be parsed as reports."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class AccountPosture:
    """What came to an account in the last day, and whom it was about.

    own_files, all_files  of the last day: uploaded by the account itself, and all of them
    foreign             domains that the account has not verified, with how many reports a week
    failing             mailboxes that reports cannot be pulled from
    doubtful            who did not send what came in its name
    """

    now: datetime
    own_files: DayFiles = DayFiles()
    all_files: DayFiles = DayFiles()
    foreign: Mapping[str, int] = field(default_factory=dict)
    failing: Sequence[Mailbox] = ()
    doubtful: Sequence[SuspectReport] = ()
