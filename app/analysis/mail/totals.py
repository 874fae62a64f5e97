"""Sums of messages by DMARC result."""

from dataclasses import dataclass, field

from app.analysis.mail.record_filter import ALL, RecordFilter


@dataclass(slots=True)
class Totals:
    """Messages, and how many passed DMARC, and DKIM and SPF in alignment."""

    messages: int = 0
    passed: int = 0
    dkim_aligned: int = 0
    spf_aligned: int = 0

    def add(self, messages: int, *, dkim: bool, spf: bool) -> None:
        """Add messages with this result."""
        self.messages += messages
        self.passed += messages * (dkim or spf)
        self.dkim_aligned += messages * dkim
        self.spf_aligned += messages * spf

    @property
    def failed(self) -> int:
        """The number of messages that failed DMARC."""
        return self.messages - self.passed

    @property
    def pass_rate(self) -> float | None:
        """The share of messages that passed, from 0 to 1; None without messages."""
        return self.passed / self.messages if self.messages else None

    @property
    def dkim_rate(self) -> float | None:
        """The share of messages with DKIM aligned, from 0 to 1; None without messages."""
        return self.dkim_aligned / self.messages if self.messages else None

    @property
    def spf_rate(self) -> float | None:
        """The share of messages with SPF aligned, from 0 to 1; None without messages."""
        return self.spf_aligned / self.messages if self.messages else None


@dataclass(slots=True)
class Period(Totals):
    """The totals of a window.

    unverified  messages in reports whose sender is not verified
    reporters   the number of reporters with messages
    """

    dispositions: dict[str, int] = field(default_factory=dict)
    unverified: int = 0
    reporters: int = 0


@dataclass(slots=True)
class Group(Totals):
    """The totals of the messages with one value of ``group_by``.

    previous_messages  messages in the previous period
    series             messages by bucket
    records            the filter of its records
    """

    key: str = ""
    previous_messages: int = 0
    series: list[int] = field(default_factory=list)
    records: RecordFilter = ALL
