"""The DMARC record that is checked, and the fixes that change it."""

from dataclasses import dataclass

from app.checks.engine.types import Fix
from app.protocols import tags
from app.protocols.dmarc import REMOVED, Policy, Record, repair
from app.protocols.names import DomainName

POLICY_TAGS = ("p", "sp", "np")
FULL_PERCENT = 100


@dataclass(frozen=True, slots=True)
class Source:
    """The DMARC record to check, the domain that publishes it, and the organizational domain."""

    record_at: DomainName
    org_domain: DomainName
    text: str
    record: Record

    @property
    def name(self) -> str:
        """The name of the TXT record."""
        return f"_dmarc.{self.record_at}"

    @property
    def corrected(self) -> str | None:
        """The text with its mistakes corrected; None if the meaning of one is not evident."""
        is_correct = not self.record.problems and not self.record.duplicate_tags
        return self.text if is_correct else repair.repaired(self.text)

    def rewritten(self, tag: str, value: str | None, why: str) -> Fix | None:
        """The fix that sets the tag to this value, and corrects the mistakes of the record.

        value    None removes the tag
        returns  Fix; a change of a policy leaves the tags out that RFC 9989 removed; None if the
                 meaning of a mistake is not evident
        """
        after = self.corrected
        if after is None:
            return None
        if tag in POLICY_TAGS:
            after, why = without_removed_tags(after), f"{why}{self.effect_of_pct}"
        return self.replaced(tags.replaced(after, tag, value), why)

    def with_tag(self, tag: str, value: str, why: str) -> Fix | None:
        """The fix that adds the tag, with the value that a misspelled part gives, if there is one.

        returns  None if the meaning of a mistake is not evident
        """
        after = self.corrected
        if after is None or tag not in dict(tags.split(after)):
            return self.rewritten(tag, value, why)
        return self.repaired("Receivers ignore a tag that is not written as name=value.")

    @property
    def names_policy(self) -> bool:
        """Whether an unknown tag or a malformed part evidently names a policy: ``policy=reject``.

        Then ``p=none`` is not what the owner wants.
        """
        unknown = {"", *self.record.unknown_tags}
        parts = [
            f"{name} {value}".lower()
            for name, value in tags.split(self.text)
            if tags.lowered(name) in unknown
        ]
        strict = (Policy.QUARANTINE.value, Policy.REJECT.value)
        corrected = dict(tags.split(self.corrected or ""))
        return "p" not in corrected and any(policy in part for part in parts for policy in strict)

    @property
    def choices(self) -> str:
        """The different values of each repeated tag, from which the owner has to choose."""
        pairs = [(tags.lowered(name), value) for name, value in tags.split(self.text)]
        reasons = []
        for tag in self.record.duplicate_tags:
            values = dict.fromkeys(f"{tag}={value[:60]}" for name, value in pairs if name == tag)
            if len(values) > 1:
                choices = " and ".join(values)
                reasons.append(f"keep one of {choices}; receivers apply the first one")
        return "; ".join(reasons) or "correct the other mistakes of the record first"

    @property
    def effect_of_pct(self) -> str:
        """What else happens without ``pct``, as a sentence; empty if nothing does."""
        pct, policy = self.record.pct, self.record.p
        if pct is None or pct >= FULL_PERCENT or policy in (None, Policy.NONE):
            return ""
        return (
            f" Without pct={pct}, older receivers apply p={policy} to all mail that fails, not only"
            f" to {pct} percent of it."
        )

    def replaced(self, after: str, why: str) -> Fix:
        """The fix that publishes another text."""
        return Fix.replace_txt(self.name, [self.text], after=after, why=why)

    def repaired(self, why: str) -> Fix | None:
        """The fix that corrects every mistake in the record; None if the meaning is not evident."""
        return repaired(self.name, self.text, why)


def repaired(name: str, text: str, why: str) -> Fix | None:
    """Return the fix that corrects every mistake in a record at this name.

    returns  None if the meaning of a mistake is not evident, or if there is none
    """
    after = repair.repaired(text)
    if after is None or after == text:
        return None
    return Fix.replace_txt(name, [text], after=after, why=why)


def without_removed_tags(text: str) -> str:
    """The record without the tags that RFC 9989 removed."""
    for tag in REMOVED:
        text = tags.replaced(text, tag, None)
    return text
