"""Findings about the policy and the tags of a DMARC record (RFC 9989 §4.7)."""

from collections.abc import Iterator
from typing import Any

from app.checks.dmarc.policy_finding_types import (
    ALIGNMENT_INVALID,
    ALIGNMENT_STRICT,
    DUPLICATE_TAG,
    FO_INVALID,
    MISSING_P,
    NOT_A_TAG,
    NOT_LOCKED,
    NP_MISSING,
    NP_WEAKER,
    PCT,
    POLICY_INVALID,
    POLICY_NONE,
    POLICY_QUARANTINE,
    PSD_UNEXPECTED,
    REMOVED,
    SP_ON_SUBDOMAIN,
    SUBDOMAIN_MISSING,
    SUBDOMAIN_WEAKER,
    TAG_INVALID,
    TESTING,
    TOO_LONG,
    UNKNOWN_TAG,
)
from app.checks.dmarc.source import FULL_PERCENT, Source, without_removed_tags
from app.checks.engine.types import Finding, Fix, Subject, Usage
from app.protocols import public_suffix, repair
from app.protocols.dmarc import VERSION, Alignment, Policy, Psd
from app.protocols.dmarc.discovery import Discovery

MAX_RECORD = 450  # characters, so that the answer fits into one UDP packet of 512 octets

_NEXT = {Policy.NONE: Policy.QUARANTINE, Policy.QUARANTINE: Policy.REJECT}


def findings(subject: Subject, discovery: Discovery, source: Source) -> Iterator[Finding]:
    """All findings about the record, those about the policy first.

    The policy of a parent's record for other subdomains is evaluated at the parent.
    """
    yield from _of_policy(subject, discovery, source)
    if source.record_at == subject.domain == discovery.org_domain:
        yield from _of_subdomains(source)
    elif source.record_at != discovery.org_domain and (source.record.sp or source.record.np):
        yield SP_ON_SUBDOMAIN.at(source.name, record=source.text)
    yield from _of_flags(source)
    yield from _of_tags(source)


def _of_policy(subject: Subject, discovery: Discovery, source: Source) -> Iterator[Finding]:
    record, policy = source.record, discovery.effective_policy
    unreadable = [problem for problem in record.problems if problem.name in ("p", "sp", "np")]
    for problem in unreadable:
        fix = source.repaired("Correct it: only none, quarantine and reject are valid.")
        reason = problem.reason if fix else f"{problem.reason}; {_decision(problem.name)}"
        yield POLICY_INVALID.at(
            source.name, tag=problem.name, value=problem.value, reason=reason, fix=fix
        )
        break  # one invalid tag voids all of them
    if record.p is None and not unreadable:
        why = "State p explicitly: without it, receivers assume p=none."
        fix = None if source.names_policy else source.with_tag("p", "none", why)
        yield MISSING_P.at(source.name, record=source.text, fix=fix)
    elif policy is Policy.NONE and not unreadable:
        yield POLICY_NONE.at(source.name, record=source.text, fix=_raised(discovery, source))
    elif policy is Policy.QUARANTINE:
        yield POLICY_QUARANTINE.at(source.name)
    if subject.usage in (Usage.PARKED, Usage.RECEIVES) and policy is not Policy.REJECT:
        usage = subject.usage.value
        yield NOT_LOCKED.at(source.name, usage=usage, fix=_locked(subject, source))


def _locked(subject: Subject, source: Source) -> Fix | None:
    """p=reject for this domain alone: a parent that sends keeps its own policy."""
    why = "Use p=reject: the domain sends no mail, so no legitimate mail is affected."
    if source.record_at == subject.domain:
        is_reject = source.record.p is Policy.REJECT  # then t=y weakens the policy
        return None if is_reject else source.rewritten("p", "reject", why)
    pairs = [("v", VERSION), ("p", "reject")]
    for tag in ("rua", "ruf"):
        if addresses := getattr(source.record, tag):
            pairs.append((tag, ",".join(addresses)))  # reports about the domain go where they went
    name, record = f"_dmarc.{subject.domain}", repair.joined(pairs)
    return Fix.publish_txt(name, record, why)


def _raised(discovery: Discovery, source: Source) -> Fix | None:
    """The fix from p=none to the next policy, if p or sp of the record requests p=none."""
    if discovery.policy_tag is None or source.record.testing:
        return None
    why = (
        "Tighten the policy once the reports show that all of your own mail passes. "
        "Use quarantine first, then reject."
    )
    return source.rewritten(discovery.policy_tag, _NEXT[Policy.NONE].value, why)


def _of_subdomains(source: Source) -> Iterator[Finding]:
    record = source.record
    if record.p is None:
        return
    sub = record.sp or record.p
    if record.sp and record.sp.strength < record.p.strength:
        why = "Remove sp: the policy of the domain then applies to its subdomains too."
        yield SUBDOMAIN_WEAKER.at(
            source.name, p=record.p, sp=record.sp, fix=source.rewritten("sp", None, why)
        )
    elif record.sp is None:
        yield SUBDOMAIN_MISSING.at(source.name)
    if record.np is None:
        yield NP_MISSING.at(source.name)
    elif record.np.strength < min(record.p.strength, sub.strength):
        why = "Use np=reject: no legitimate mail comes from names that do not exist."
        fix = source.rewritten("np", "reject", why)
        yield NP_WEAKER.at(source.name, p=record.p, np=record.np, fix=fix)


def _of_flags(source: Source) -> Iterator[Finding]:
    record = source.record
    if record.testing and record.p is not Policy.NONE:
        why = "Remove t=y: with it, receivers apply the policy one level weaker than published."
        yield TESTING.at(source.name, fix=source.rewritten("t", None, why))
    if record.psd is Psd.YES and not public_suffix.is_public_suffix(source.record_at):
        why = "Remove psd=y: it is for registries such as co.uk and leaves subdomains unprotected."
        yield PSD_UNEXPECTED.at(source.name, fix=source.rewritten("psd", None, why))
    strict = [tag for tag in ("adkim", "aspf") if getattr(record, tag) is Alignment.STRICT]
    if strict:
        yield ALIGNMENT_STRICT.at(source.name, tags=strict)
    if len(source.text) > MAX_RECORD:
        yield TOO_LONG.at(source.name, length=len(source.text), advised=MAX_RECORD)


def _of_tags(source: Source) -> Iterator[Finding]:
    record = source.record
    fix = _without_removed_tags(source) if record.removed_tags else None
    for tag in record.removed_tags:
        yield REMOVED[tag].at(source.name, fix=fix)
    if record.pct is not None and record.pct < FULL_PERCENT:
        yield PCT.at(source.name, pct=record.pct, fix=fix)
    if record.unknown_tags:
        yield UNKNOWN_TAG.at(source.name, tags=list(record.unknown_tags))
    if record.duplicate_tags:
        once = source.repaired("Receivers read the first occurrence only. List each tag once.")
        evidence: dict[str, Any] = {} if once else {"reason": source.choices}
        evidence["tags"] = list(record.duplicate_tags)
        yield DUPLICATE_TAG.at(source.name, fix=once, **evidence)
    yield from _of_problems(source)


def _of_problems(source: Source) -> Iterator[Finding]:
    kinds = {
        "": NOT_A_TAG,
        "fo": FO_INVALID,
        "adkim": ALIGNMENT_INVALID,
        "aspf": ALIGNMENT_INVALID,
        "t": TAG_INVALID,
        "psd": TAG_INVALID,
    }
    problems = [problem for problem in source.record.problems if problem.name in kinds]
    if not problems:
        return
    fix = source.repaired("Receivers ignore the invalid part. Correct or remove it.")
    for problem in problems:
        subject = f"{source.name} {problem.name or problem.value[:60]}"
        kind = kinds[problem.name]
        yield kind.at(subject, value=problem.value, reason=problem.reason, fix=fix)


def _without_removed_tags(source: Source) -> Fix | None:
    """One fix for all of them, so that one copied after another loses nothing."""
    if (text := source.corrected) is None:
        return None
    why = f"Remove {', '.join(source.record.removed_tags)}: current receivers ignore such tags."
    return source.replaced(without_removed_tags(text), f"{why}{source.effect_of_pct}")


def _decision(tag: str) -> str:
    """What the owner has to decide about an unreadable policy."""
    if tag == "sp":
        return "write the policy for subdomains, or remove sp, so that p applies to them"
    return f"write the {tag} that you intend, and correct every other mistake of the record"
