"""The sink types by name. A new one takes a module of this package and a line here."""

from collections.abc import Mapping
from typing import Any

from app.sinks.bulk import BulkConfig
from app.sinks.splunk import SplunkConfig
from app.sinks.syslog import SyslogConfig
from app.sinks.types import SinkConfig
from app.sinks.webhook import WebhookConfig

_TYPES: tuple[type[SinkConfig], ...] = (
    WebhookConfig,
    SyslogConfig,
    BulkConfig,
    SplunkConfig,
)
SINK_TYPES: Mapping[str, type[SinkConfig]] = {config.type: config for config in _TYPES}


def stored(type: str, public: Mapping[str, Any], secret: str) -> SinkConfig:
    """Return the stored options of a sink of this type; its secret may be empty."""
    config_type = SINK_TYPES[type]
    secrets = {name: secret for name, option in config_type.options().items() if option.is_secret}
    return config_type.stored(public, secrets)
