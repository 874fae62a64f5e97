"""The change of one record set, and its formats."""

import re
from dataclasses import dataclass

TTL_SECONDS = 3600
_ESCAPED_BYTE = re.compile(r"\\x[0-9a-f]{2}")  # how an answer shows a byte that is not UTF-8


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSetChange:
    """Records that are removed from and added to the set of one name and type.

    zone       the zone of the name, both without a final dot; None if it is not known
    removed    values: the text of a TXT record, else in presentation format
    remaining  the other values of the set; None if they are not known
    """

    zone: str | None
    name: str
    type: str
    removed: tuple[str, ...]
    added: tuple[str, ...]
    remaining: tuple[str, ...] | None

    @property
    def whole_set(self) -> tuple[str, ...] | None:
        """The values of the set after the change; None if they are not known."""
        return None if self.remaining is None else (*self.remaining, *self.added)

    @property
    def is_exact(self) -> bool:
        """Whether the bytes of the removed records are known."""
        return not any(map(_ESCAPED_BYTE.search, self.removed))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormattedChange:
    """The texts of a change by format; None where the format cannot express it."""

    zone_file: str | None = None
    octodns: str | None = None
    terraform_cloudflare: str | None = None
    terraform_route53: str | None = None
    nsupdate: str | None = None
