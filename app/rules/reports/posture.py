"""What reports show about a domain or an account: the input of the report rules."""

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

RECENT_DAYS, BASELINE_DAYS = 3, 28  # reports arrive a day or two after the email


@dataclass(frozen=True, slots=True)
class Volume:
    """Messages, and how many failed DMARC, by reporter and UTC day.

    passed_on  failed messages that forwarders sent, from all reporters
    """

    reporters: Mapping[str, Mapping[int, tuple[int, int]]] = field(default_factory=dict)
    passed_on: int = 0

    @property
    def days(self) -> dict[int, tuple[int, int]]:
        """Messages and failed messages of all reporters, by day."""
        totals: dict[int, tuple[int, int]] = {}
        for days in self.reporters.values():
            for day, (messages, failed) in days.items():
                total = totals.get(day, (0, 0))
                totals[day] = (total[0] + messages, total[1] + failed)
        return totals

    def of(self, reporters: Iterable[str]) -> "Volume":
        """Return the volume that these reporters reported; each must have reported messages."""
        return Volume({name: self.reporters[name] for name in reporters}, self.passed_on)

    @property
    def messages(self) -> int:
        """The number of messages."""
        return sum(messages for messages, _ in self.days.values())

    @property
    def failed(self) -> int:
        """The number of messages that failed DMARC."""
        return sum(failed for _, failed in self.days.values())

    @property
    def pass_rate(self) -> float:
        """The share of messages that passed, from 0 to 1; there must be messages."""
        return 1 - self.failed / self.messages


@dataclass(frozen=True, slots=True)
class Mail:
    """The email of one period: its sources, and the messages per day.

    verified    from trusted reports only
    everything  from all reports
    """

    everything: Volume = Volume()
    verified: Volume = Volume()
    sources: Sequence[Source] = ()
    identities: Mapping[int, Identity] = field(default_factory=dict)
    selectors: Sequence[SelectorUse] = ()
    subdomains: Sequence[Subdomain] = ()


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS sessions of the last ``days`` days, and their failures."""

    days: int
    successful: int
    failed: int
    result_types: Mapping[str, int]
    hosts: Mapping[str, int]
    is_verified: bool


@dataclass(frozen=True, slots=True)
class ReadReports:
    """The reports of one reporter in the last week, and how much of them could be read.

    kind               dmarc or tls
    records, messages  of TLS reports: policies with failure details, and sessions
    skipped_records    records that could not be read, with the sum of their messages, as far as it
                       is known, and their number by reason
    """

    kind: str
    reporter: str
    reports: int
    partial_reports: int
    records: int
    messages: int
    skipped_records: int
    skipped_messages: int
    reasons: Mapping[str, int]

    @property
    def skipped_share(self) -> float:
        """The share of the records or of the messages that could not be read: the larger one.

        The counts of skipped records are not always known.
        """
        pairs = ((self.skipped_records, self.records), (self.skipped_messages, self.messages))
        return max(skipped / ((skipped + read) or 1) for skipped, read in pairs)


@dataclass(frozen=True, slots=True)
class ReportPosture:
    """What reports show about a domain.

    usage            what the domain is used for: both, sending, receiving or parked
    policy, rua      of the DMARC record in the last scan; None if no scan saw it
    policy_since     since when the record is unchanged, as far as is known
    days_at_policy   full days since its policy last changed, by the last scan; None: unknown
    last_report_at   when the last report arrived; None: never
    first_hour       the first hour with reported email; None: there is none
    recent, previous  the last RECENT_DAYS, and the BASELINE_DAYS before
    step             the next policy step, if the policy is not at reject
    failure_reports  of the last day, newest first
    is_behind        reports may be waiting to be processed, so a silent reporter is not certain
    read_reports     how much of the reports of the last week could be read
    signers          selectors that signed email before and none lately, with when they signed
    """

    domain: DomainName
    now: datetime
    now_hour: int
    monitored_since: datetime
    usage: str = "both"
    policy: str | None = None
    rua: Sequence[str] | None = None
    policy_since: datetime | None = None
    days_at_policy: int | None = None
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
    read_reports: Sequence[ReadReports] = ()
    signers: Sequence[Reporter] = ()

    def capped(self, severity: Severity) -> Severity:
        """Return the severity, or info if all reports are unverified."""
        is_verified = self.recent.verified.messages or self.previous.verified.messages
        return severity if is_verified else Severity.INFO


@dataclass(frozen=True, slots=True)
class GradedPosture:
    """What trusted reports show about a domain, and what all its reports show.

    trusted     without unverified reports, which anyone can send
    everything  the same object if there are no unverified reports
    """

    trusted: ReportPosture
    everything: ReportPosture

    @property
    def now(self) -> datetime:
        """The time at which the posture was taken."""
        return self.everything.now


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox that could not be polled since ``failing_since``, and the last error.

    needs_sign_in  whether the access was refused, so that it is not polled until a person acts
    """

    id: str
    name: str
    failing_since: datetime
    failure: str
    needs_sign_in: bool = False


@dataclass(frozen=True, slots=True)
class SuspectReport:
    """Emailed reports of one reporter in the last week that failed sender authentication.

    authors        the sender domains of the emails, newest first
    files          ids of some of the report files
    is_well_known  whether other reports were authenticated as this reporter's
    """

    reporter: str
    reports: int
    authors: Sequence[str]
    files: Sequence[str]
    is_well_known: bool


@dataclass(frozen=True, slots=True)
class DayFiles:
    """Report files processed in the last day, and the number rejected by reason."""

    files: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)

    @property
    def rejected(self) -> int:
        """The number of files that could not be parsed as reports."""
        return sum(self.reasons.values())


@dataclass(frozen=True, slots=True)
class AccountPosture:
    """The report files and mailboxes of an account.

    own_files, all_files  files of the last day: uploaded by the account itself, and all
    foreign               unverified domains, with the number of reports in the last week
    failing               mailboxes that cannot be polled
    suspect_reports       reporters whose emails failed sender authentication
    """

    now: datetime
    own_files: DayFiles = DayFiles()
    all_files: DayFiles = DayFiles()
    foreign: Mapping[str, int] = field(default_factory=dict)
    failing: Sequence[Mailbox] = ()
    suspect_reports: Sequence[SuspectReport] = ()
