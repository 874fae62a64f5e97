"""The types of JSON columns."""

from typing import TypedDict


class SenderMetadata(TypedDict, total=False):
    """What the channel that received a file knows about its sender; stored as JSON.

    address       the IP address of an HTTP client
    content_type  of an HTTP request
    upload_token  the id of the upload token
    uploaded_by   the email address of the dashboard user
    mailFrom, peer, peerAddress  the envelope sender, and the client of the SMTP listener
    authservIds   the servers that received the mail and whose Authentication-Results count
    sourceClass   the class of the sender in the daily budgets when the file arrived
    """

    address: str | None
    content_type: str | None
    upload_token: str | None
    uploaded_by: str
    mailFrom: str
    peer: str
    peerAddress: str
    authservIds: list[str]
    sourceClass: str
