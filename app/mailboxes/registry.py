"""The mailbox types by name. A new one takes a module of this package and a line here."""

from collections.abc import Mapping

from app.mailboxes.config import MailboxConfig
from app.mailboxes.imap import ImapConfig

_TYPES: tuple[type[MailboxConfig], ...] = (ImapConfig,)
MAILBOX_TYPES: Mapping[str, type[MailboxConfig]] = {config.type: config for config in _TYPES}
