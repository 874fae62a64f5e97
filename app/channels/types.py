"""The interface of a channel type: what differs between webhooks, email and chat services."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, TypedDict

from app.channels.text import Event
from app.ports.http import HttpClient


class BadTarget(ValueError):
    """The target is not one that a channel can deliver to; the message says why."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of one attempt; without ``error`` the receiver has accepted it.

    status          the status of HTTP or SMTP, if there was a response
    error           why the attempt failed; it contains nothing else of the response
    retry_after     the Retry-After header of the response
    delivered_to    of an email: ids of the recipients whose message the mail server accepted
    disable_reason  why nothing more can be sent to this channel; None if it can be retried
    """

    status: int | None = None
    error: str | None = None
    retry_after: str = ""
    disable_reason: str | None = None
    delivered_to: tuple[str, ...] = ()


class StoredSecrets(TypedDict):
    """The JSON of ``Secrets``, which is stored encrypted."""

    keys: list[str]
    until: str | None
    url: str | None


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets of a channel.

    keys   the signing secrets of a webhook, the current one first
    until  when the previous signing secret expires, RFC 3339
    url    the address of a chat service
    """

    keys: tuple[str, ...] = ()
    until: str | None = None
    url: str | None = None

    def keys_at(self, now: datetime) -> Sequence[str]:
        """Return the signing secrets that are valid at this time."""
        is_expired = self.until is None or now >= datetime.fromisoformat(self.until)
        return self.keys[:1] if is_expired else self.keys

    def as_json(self) -> StoredSecrets:
        """Return the secrets as JSON."""
        return {"keys": list(self.keys), "until": self.until, "url": self.url}

    @classmethod
    def from_json(cls, stored: StoredSecrets) -> "Secrets":
        """Return the secrets in the JSON."""
        return cls(tuple(stored["keys"]), stored["until"], stored["url"])


@dataclass(frozen=True, slots=True)
class ParsedTarget:
    """A target that a channel type accepts.

    shown       the text that lists show; it contains no secret
    secrets     None if the channel has none
    host        a host that must have public addresses only; None if there is nothing to look up
    recipients  addresses that must confirm before anything is sent to them
    """

    shown: str
    secrets: Secrets | None = None
    host: str | None = None
    recipients: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConfig:
    """The settings of the deployment that channel types need.

    webhook_ports    the ports that the URL of a webhook may have
    smtp_url         None if the deployment cannot send email
    mail_from        the From header of emails
    base_url         the base URL of links
    timeout_seconds  of one attempt
    """

    webhook_ports: Sequence[int]
    smtp_url: str | None
    mail_from: str
    base_url: str
    timeout_seconds: float


@dataclass(frozen=True, slots=True)
class Recipient:
    """One confirmed recipient of an email channel."""

    id: str
    address: str
    unsubscribe_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What one attempt sends: one event, the events of one cause, or those of a digest.

    events        of one cause: that of the worst alert first
    channel_name  the name that people gave the channel
    target        ``ParsedTarget.shown`` of the channel
    at            when the attempt is made
    since         for a digest, when the previous one was sent; None for a single event
    recipients    the recipients that the message has not reached yet
    """

    channel_name: str
    min_severity: str
    target: str
    secrets: Secrets
    events: Sequence[Event]
    at: datetime
    since: datetime | None = None
    recipients: Sequence[Recipient] = ()


@dataclass(frozen=True, slots=True)
class Transport:
    """What an attempt may use.

    threads  for types that block
    """

    http: HttpClient
    threads: Executor


class ChannelType(ABC):
    """One way in which alerts leave.

    name                 the value of ``channels.kind``
    label                the name in the dashboard
    description          what it does, as the help of its command
    target_hint          what a target looks like
    target_field         the field that errors about the target name
    target_formats       formats of targets by service, as (service, format)
    has_digests          whether it can send a daily or weekly digest
    has_recipients       whether its target is a list of addresses that must confirm
    is_target_secret     whether the target is stored as a secret, and lists show a name instead
    has_signing_secret   whether deliveries are signed with a secret that can be rotated
    receives_all_events  whether it gets events that people are not notified of
    batch_size           deliveries that are sent before their outcomes are stored. They are sent
                         again if the process is killed, so only receivers that recognize an event
                         by its id get more than one.
    is_given_up          whether the channel is disabled after days without a success
    """

    name: ClassVar[str]
    label: ClassVar[str]
    description: ClassVar[str]
    target_hint: ClassVar[str]
    target_field: ClassVar[str]
    target_formats: ClassVar[Sequence[tuple[str, str]]] = ()
    has_digests: ClassVar[bool] = False
    has_recipients: ClassVar[bool] = False
    is_target_secret: ClassVar[bool] = False
    has_signing_secret: ClassVar[bool] = False
    receives_all_events: ClassVar[bool] = False
    batch_size: ClassVar[int] = 1
    is_given_up: ClassVar[bool] = True

    @abstractmethod
    def parse(self, target: str, config: ChannelConfig) -> ParsedTarget:
        """Return the parts of a target that a person entered.

        raises  BadTarget
        """

    @abstractmethod
    async def send(self, message: Message, transport: Transport, config: ChannelConfig) -> Outcome:
        """Send the message, within ``config.timeout_seconds``, and return the outcome."""

    def groups_by_cause(self, target: str) -> bool:
        """Return whether alerts with one cause are sent to this target as one message."""
        return False

    def configuration_error(self, config: ChannelConfig) -> str | None:
        """Return why this deployment cannot send to such channels; None if it can."""
        return None

    def stored_error(self, secrets: Secrets) -> str | None:
        """Return why the target in the secrets is not accepted; None if it is accepted."""
        return None

    def rotated(self, secrets: Secrets, until: datetime) -> Secrets:
        """Return the secrets with a new signing secret; the current one is valid until then.

        raises  NotImplementedError if ``has_signing_secret`` is False
        """
        raise NotImplementedError
