"""DNS records as text: zone files (RFC 1035 §5), octoDNS YAML, and single values.

Each parser returns ``ZoneRecord``s and raises ``InvalidRecords`` with every error and its line.
"""

from app.protocols.zone_files.types import DEFAULT_TTL_SECONDS as DEFAULT_TTL_SECONDS
from app.protocols.zone_files.types import MAX_RECORDS as MAX_RECORDS
from app.protocols.zone_files.types import Action as Action
from app.protocols.zone_files.types import InvalidData as InvalidData
from app.protocols.zone_files.types import InvalidRecords as InvalidRecords
from app.protocols.zone_files.types import LineError as LineError
from app.protocols.zone_files.types import RecordChange as RecordChange
from app.protocols.zone_files.types import ZoneRecord as ZoneRecord
