"""The sink types by name. A new one takes a module of this package and a line here."""

from collections.abc import Mapping

from app.sinks.bulk import Bulk
from app.sinks.splunk import Splunk
from app.sinks.syslog import Syslog
from app.sinks.types import SinkType
from app.sinks.webhook import Webhook

_TYPES: tuple[SinkType, ...] = (Webhook(), Syslog(), Bulk(), Splunk())
SINK_TYPES: Mapping[str, SinkType] = {type.name: type for type in _TYPES}
