"""The client of mailwatch, which monitors the email security of domains."""

from mailwatch import errors, webhooks
from mailwatch.calls import Call
from mailwatch.client import AsyncClient, Client
from mailwatch.errors import ApiError, ConnectionFailed, MailwatchError
from mailwatch.generated import models
from mailwatch.pages import AsyncPager, Pager
from mailwatch.retries import RetryPolicy
from mailwatch.version import VERSION

__all__ = [
    "VERSION",
    "ApiError",
    "AsyncClient",
    "AsyncPager",
    "Call",
    "Client",
    "ConnectionFailed",
    "MailwatchError",
    "Pager",
    "RetryPolicy",
    "errors",
    "models",
    "webhooks",
]
