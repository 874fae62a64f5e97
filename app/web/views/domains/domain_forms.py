"""The forms of the pages about domains."""

from typing import Any

from markupsafe import Markup
from wtforms.validators import ValidationError

from app.checks.engine.types import Usage
from app.models import Domain
from app.models.domains import SCHEDULES
from app.web.base.filters import label
from app.web.base.forms import (
    BaseForm,
    ChoiceField,
    LongTextField,
    SelectorsField,
    TagsField,
    TextField,
)

MAX_ADDED = 500
MAX_NAME = 260  # characters of one name, with a separator

USAGES = {usage.value: label(usage.value) for usage in Usage}
SCHEDULE_LABELS = {name: "Manual only" if name == "off" else label(name) for name in SCHEDULES}
_AS_TYPED = {"autocapitalize": "none", "spellcheck": "false"}


class NewDomainForm(BaseForm):
    """Add a domain."""

    name = TextField(
        "Domain",
        render_kw={
            **_AS_TYPED,
            "required": True,
            "maxlength": 253,
            "placeholder": "example.org",
            "autocomplete": "off",
        },
    )
    usage = ChoiceField("Domain use", USAGES)


class MonitoringForm(BaseForm):
    """Change how a domain is monitored."""

    usage = ChoiceField("Domain use", USAGES, default=Usage.BOTH.value)
    schedule = ChoiceField("Scan schedule", SCHEDULE_LABELS, default="daily")
    tags = TagsField(
        "Tags",
        1200,
        description="Separate tags with commas. Use tags to filter lists and to scan several "
        "domains at once.",
        render_kw={"placeholder": "shop, brand"},
    )
    selectors = SelectorsField(
        "DKIM selectors",
        6000,
        description=Markup(
            "DNS can't list selectors. Find yours after <code>s=</code> in the DKIM-Signature "
            "header of a message you sent."
        ),
        render_kw={**_AS_TYPED, "placeholder": "s2026 mail"},
    )

    @classmethod
    def of(cls, domain: Domain) -> "MonitoringForm":
        """Return the form with the settings of the domain."""
        return cls(
            usage=domain.usage,
            schedule=domain.schedule,
            tags=", ".join(domain.tags),
            selectors=" ".join(domain.dkim_selectors),
        )

    def settings(self) -> dict[str, Any]:
        """Return the settings by their names in the service; call ``check`` first."""
        return {
            "usage": Usage(self.usage.text),
            "tags": self.tags.tags,
            "dkim_selectors": self.selectors.words,
            "schedule": self.schedule.text,
        }


class NewDomainsForm(MonitoringForm):
    """Add several domains with the same settings."""

    names = LongTextField(
        "Domains, one per line",
        MAX_ADDED * MAX_NAME,
        description=f"Up to {MAX_ADDED} domains. If one of them can't be added, the others still "
        "are. We scan them straight away.",
        render_kw={**_AS_TYPED, "required": True, "placeholder": "example.org\nexample.com"},
    )

    def validate_names(self, field: LongTextField) -> None:
        """Check the number of names."""
        if not 1 <= len(self.split_names()) <= MAX_ADDED:
            raise ValidationError(f"Enter 1 to {MAX_ADDED} domains, one per line")

    def split_names(self) -> list[str]:
        """Return the names in their order, with duplicates."""
        return self.names.text.replace(",", " ").split()


class HoldForm(BaseForm):
    """Put a domain on legal hold."""

    reason = TextField("Reason", render_kw={"required": True, "maxlength": 300})
