"""The mailbox types by name. A new one takes a module of this package and a line here."""

from collections.abc import Mapping
from typing import Any

from app.mailboxes.config import MailboxConfig
from app.mailboxes.imap import ImapConfig
from app.mailboxes.imap_oauth import ImapGmailConfig, ImapMicrosoftConfig
from app.mailboxes.local.folder import FolderConfig
from app.mailboxes.pop3 import Pop3Config
from app.mailboxes.s3.bucket import S3Config
from app.mailboxes.web_api.gmail import GmailConfig
from app.mailboxes.web_api.graph import GraphConfig

_TYPES: tuple[type[MailboxConfig], ...] = (
    ImapConfig,
    GraphConfig,
    GmailConfig,
    ImapMicrosoftConfig,
    ImapGmailConfig,
    Pop3Config,
    S3Config,
    FolderConfig,
)
MAILBOX_TYPES: Mapping[str, type[MailboxConfig]] = {config.type: config for config in _TYPES}


def stored(type: str, public: Mapping[str, Any], secrets: Mapping[str, str]) -> MailboxConfig:
    """Return the stored options of a mailbox of this type."""
    return MAILBOX_TYPES[type].stored(public, secrets)
