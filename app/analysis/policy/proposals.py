"""The record to publish for a stricter policy, or to undo a weaker one.

Each is proven before it is returned: no policy gets weaker, and no report address is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from app.analysis.policy.published import Published
from app.checks.engine import evidence
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
    text: str | None = published.text
    if _has_mistakes(published.record):
        text = repair.repaired(published.text)
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


def restored(before: Sequence[str], after: Sequence[str]) -> tuple[str | None, str] | None:
    """Return the current DMARC records, one a line, and the previous one to publish instead.

    before, after  the TXT values at the name before and after its policy was weakened
    returns        the previous record with every mistake corrected and with the report addresses
                   that were added since; None if the current records have a stricter part that it
                   would undo, or if the meaning of either is not evident
    """
    previous = [text for text in before if dmarc.is_record(text)]
    if len(previous) != 1 or any(map(evidence.is_truncated, [*before, *after])):
        return None
    [text] = previous
    if _has_mistakes(dmarc.parse_record(text)):
        text = repair.repaired(text) or ""
    current = sorted(text for text in after if dmarc.is_attempt(text))
    records = [repair.lenient(item) for item in (text, *current)]
    meant = [record for record in records if record is not None and not _has_mistakes(record)]
    if len(meant) < len(records):
        return None
    for tag, addresses in (
        ("rua", dict.fromkeys(uri for record in meant for uri in record.rua)),
        ("ruf", dict.fromkeys(uri for record in meant for uri in record.ruf)),
    ):
        if addresses and list(addresses) != list(getattr(meant[0], tag)):
            text = tags.replaced(text, tag, ",".join(addresses))
    new = dmarc.parse_record(text)
    is_proven = not _has_mistakes(new) and all(strictness.is_kept(old, new) for old in meant)
    return ("\n".join(current) or None, text) if is_proven else None


def _has_mistakes(record: dmarc.Record) -> bool:
    return bool(record.problems or record.duplicate_tags)


def _is_proven(text: str, tag: Tag, policy: Policy, published: Published) -> bool:
    """Whether receivers read the policy in the new record, and it keeps what was published."""
    new = dmarc.parse_record(text)
    meant = None if published.is_inherited else repair.lenient(published.text or "")
    old = meant or published.record
    is_effective = strictness.policies(new)[TAGS.index(tag)] == policy.strength
    return new.has_readable_policy and is_effective and strictness.is_kept(old, new)
