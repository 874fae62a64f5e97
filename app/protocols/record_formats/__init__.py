"""Changes of record sets in the formats of tools: zone files, octoDNS, Terraform and nsupdate.

Each format is a text that the tool reads without further editing, or None if it cannot express the
change, or if that would delete records which are not known.
"""

from app.protocols.record_formats import nsupdate, octodns_yaml, terraform, zone_lines
from app.protocols.record_formats.types import FormattedChange as FormattedChange
from app.protocols.record_formats.types import RecordSetChange as RecordSetChange
from app.protocols.zone_files import InvalidData


def formatted(change: RecordSetChange) -> FormattedChange:
    """Return the change in each format; none for a value that is not in presentation format."""
    if not change.is_exact:
        return FormattedChange()
    try:
        return _formatted(change)
    except InvalidData:
        return FormattedChange()


def _formatted(change: RecordSetChange) -> FormattedChange:
    return FormattedChange(
        zone_file=zone_lines.lines(change),
        octodns=octodns_yaml.record_set(change),
        terraform_cloudflare=terraform.cloudflare(change),
        terraform_route53=terraform.route53(change),
        nsupdate=nsupdate.script(change),
    )
