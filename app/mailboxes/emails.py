"""Which emails of a mailbox are fetched, and where imported ones go: options of several types.

The names of the options and of what a service calls a folder differ; the rules do not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from app.options import fields
from app.options.fields import OptionError

UNREAD, ALL = "unread", "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What a service has instead of folders, such as labels.

    name             in lower case
    imported_hint    what happens to imported emails
    is_case_relevant whether two names that differ only in case are two places
    """

    name: str
    imported_hint: str
    is_case_relevant: bool = False

    @property
    def _title(self) -> str:
        return self.name.capitalize()

    def source(self, default: str) -> Any:
        """Return the field for the place that reports arrive in."""
        return fields.text(self._title, default=default)

    def messages(self) -> Any:
        """Return the field for the emails to fetch."""
        choices = {
            UNREAD: "Unread emails only",
            ALL: f"All emails (needs a {self.name} for imported ones)",
        }
        return fields.choice("Emails to fetch", choices, default=UNREAD)

    def done(self) -> Any:
        """Return the field for the place for imported emails, which may be empty."""
        label = f"{self._title} for imported emails"
        return fields.text(label, default="", hint=self.imported_hint)

    def missing(self) -> Any:
        """Return the field for what to do if that place is missing."""
        choices = {"fail": "Report an error", "create": "Create it"}
        return fields.choice(f"If that {self.name} is missing", choices, default="fail")

    def problems(self, messages: str, source: str, done: tuple[str, str]) -> Iterator[OptionError]:
        """Yield what is wrong with the values of these options.

        done  the name and the value of the option for imported emails
        """
        name, value = done
        is_same = value == source or (not self.is_case_relevant and value.lower() == source.lower())
        if is_same:
            message = f"Enter a different {self.name} from the one that receives the reports"
            yield OptionError(name, message)
        if messages == ALL and not value:
            message = f"Enter a {self.name} for imported emails, or fetch unread emails only"
            yield OptionError(name, message)
