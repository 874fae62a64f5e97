"""Mail hosts and the results of their TLS probes: one row per host, shared by all domains."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from app.db.types import Base, BoundedText, Json, UtcDateTime
from app.models.stored_json import StoredTlsProbe


class MailHost(Base):
    """One host that MX records name. It belongs to no account.

    last_referenced_at  when a scan last saw an MX record that names it
    next_at             when the next probe is due; during a probe, when its lease expires
    probed_at           when it last answered a probe, with ``probe_result`` as JSON
    """

    __tablename__ = "mail_hosts"

    name: Mapped[str] = mapped_column(BoundedText(253), primary_key=True)
    last_referenced_at: Mapped[datetime] = mapped_column(UtcDateTime)
    next_at: Mapped[datetime] = mapped_column(UtcDateTime, index=True)
    probed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    probe_result: Mapped[StoredTlsProbe | None] = mapped_column(Json)
