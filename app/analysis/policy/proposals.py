"""The record to publish for a stricter policy: nothing else that the owner published is lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from app.analysis.policy.published import Published
from app.protocols import dmarc, tags
from app.protocols.dmarc import REMOVED, Policy, repair, strictness

Tag = Literal["p", "sp", "np"]
TAGS: tuple[Tag, ...] = ("p", "sp", "np")
OF_OTHER_DOMAINS = ("sp", "np", "psd")  # tags of a parent's record that are not about the domain
_REMARKS: Mapping[str, str] = {
    "pct": "{tag} is left out, because RFC 9989 removed it. Receivers that still follow RFC 7489 "
    "then apply the policy to all mail that fails, instead of a part of it.",
    "rf": "{tag} is left out, because RFC 9989 removed it.",
    "ri": "{tag} is left out, because RFC 9989 removed it.",
    "t": "{tag} is left out, so that the policies take effect as they are written.",
}


@dataclass(frozen=True, slots=True)
class Proposal:
    """A record to publish.

    remarks  the tags of the published record that it leaves out, and why, as sentences
    """

    text: str
    remarks: tuple[str, ...] = ()


def proposal(tag: Tag, policy: Policy, published: Published) -> Proposal | None:
    """Return the published record with the policy for the tag.

    returns  None if the published record has mistakes whose meaning is not evident, or if the
             change would weaken another policy or lose a report address
    """
    if published.text is None:
        own = f"p={policy}" if tag == "p" else f"p=none; {tag}={policy}"
        return Proposal(f"v=DMARC1; {own}")
    has_mistakes = bool(published.record.problems or published.record.duplicate_tags)
    text = repair.repaired(published.text) if has_mistakes else published.text
    if text is None:
        return None
    values = {tags.lowered(name): value for name, value in reversed(tags.split(text))}
    remarks = []
    for name, remark in _REMARKS.items():
        if name in values and (name in REMOVED or published.record.testing):
            remarks.append(remark.format(tag=f"{name}={values[name]}"))
            text = tags.replaced(text, name, None)
    if published.is_inherited:
        for name in OF_OTHER_DOMAINS:
            text = tags.replaced(text, name, None)
    text = tags.replaced(text, tag, policy.value)
    return Proposal(text, tuple(remarks)) if _is_proven(text, tag, policy, published) else None


def _is_proven(text: str, tag: Tag, policy: Policy, published: Published) -> bool:
    """Whether receivers read the policy in the new record, and it keeps what was published."""
    new = dmarc.parse_record(text)
    meant = None if published.is_inherited else repair.lenient(published.text or "")
    old = meant or published.record
    is_effective = strictness.policies(new)[TAGS.index(tag)] == policy.strength
    return new.has_readable_policy and is_effective and strictness.is_kept(old, new)
