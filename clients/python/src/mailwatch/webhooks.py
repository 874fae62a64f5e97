"""Webhooks: the verification of their signature."""

from collections.abc import Mapping

from standardwebhooks import Webhook, WebhookVerificationError

from mailwatch.errors import InvalidSignature
from mailwatch.generated.models import Event


def verify(body: bytes, headers: Mapping[str, str], secret: str) -> Event:
    """Return the event in a request to your endpoint, if the service sent it.

    body     the bytes of the request, unchanged
    secret   of the channel; it starts with ``whsec_``
    raises   InvalidSignature
    """
    try:
        event: Event = Webhook(secret).verify(body, dict(headers))
    except (WebhookVerificationError, ValueError) as error:
        raise InvalidSignature(str(error)) from error
    return event
