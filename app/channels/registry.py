"""The channel types by name. A new one takes a module of this package and a line here."""

from collections.abc import Mapping

from app.channels.chat import Chat
from app.channels.email import Email
from app.channels.types import ChannelType
from app.channels.webhook import Webhook

_TYPES: tuple[ChannelType, ...] = (Webhook(), Email(), Chat())
CHANNEL_TYPES: Mapping[str, ChannelType] = {type.name: type for type in _TYPES}
