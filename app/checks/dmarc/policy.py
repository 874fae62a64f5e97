"""Findings about the policy and the tags of a DMARC record (RFC 9989 §4.7)."""

from collections.abc import Iterator
from typing import Any

from app.checks.dmarc.source import FULL_PERCENT, Source, without_removed_tags
from app.checks.engine.types import Finding, FindingType, Fix, Severity, Subject, Usage, Verdict
from app.protocols import public_suffix, repair
from app.protocols.dmarc import VERSION, Alignment, Policy, Psd
from app.protocols.dmarc.discovery import Discovery

MAX_RECORD = 450  # characters, so that the answer fits into one UDP packet of 512 octets

POLICY_NONE = FindingType(
    code="dmarc.policy_none",
    severity=Severity.HIGH,
    summary="DMARC policy is p=none: mail that fails is still delivered",
    why="The policy is useful for monitoring, but mail that spoofs the domain still reaches its "
    "recipients.",
    remediation="Publish `p=quarantine`, then `p=reject`, once the reports show that all of your "
    "own mail passes.",
    reference="RFC 9989 §4.7",
    verdict=Verdict.WARN,
)
POLICY_QUARANTINE = FindingType(
    code="dmarc.policy_quarantine",
    severity=Severity.INFO,
    summary="DMARC policy is p=quarantine: mail that fails is treated as suspicious",
    why="Mail that spoofs the domain usually goes to the spam folder, where its recipients can "
    "still open it.",
    remediation="Publish `p=reject` once the reports show that none of your own mail fails.",
    reference="RFC 9989 §4.7",
)
MISSING_P = FindingType(
    code="dmarc.policy_missing_p",
    severity=Severity.MEDIUM,
    summary="DMARC: no policy (p), so receivers assume p=none",
    why="Mail that spoofs the domain is still delivered.",
    remediation="Add `p` with the policy that you intend.",
    note="Receivers assume `p=none` only if there is a reporting address.",
    reference="RFC 9989 §4.10.1",
    leads_to=("dmarc.policy_none",),
)
POLICY_INVALID = FindingType(
    code="dmarc.policy_invalid",
    severity=Severity.CRITICAL,
    summary="DMARC: invalid policy value, so the record counts as p=none or not at all",
    why="Receivers apply none of the policies in the record, so mail that spoofs the domain is "
    "still delivered.",
    remediation="Correct the value; only `none`, `quarantine` and `reject` are valid.",
    note="One invalid `p`, `sp` or `np` voids all of them.",
    reference="RFC 9989 §4.10.1",
    hides_others=True,
    is_syntax=True,
)
SUBDOMAIN_WEAKER = FindingType(
    code="dmarc.subdomain_policy_weaker",
    severity=Severity.HIGH,
    summary="DMARC: subdomains are protected less than the domain",
    why="Attackers who cannot spoof the domain can spoof its subdomains instead.",
    remediation="Remove `sp`, so that `p` applies to subdomains too.",
    note="`sp` is weaker than `p`.",
    reference="RFC 9989 §4.7",
    verdict=Verdict.WARN,
)
SUBDOMAIN_MISSING = FindingType(
    code="dmarc.subdomain_policy_missing",
    severity=Severity.INFO,
    summary="DMARC: no subdomain policy (sp), so p applies to subdomains too",
    why="Mail from a subdomain without a record of its own is treated like mail from the domain.",
    remediation="No action is needed.",
    reference="RFC 9989 §4.7",
)
SP_ON_SUBDOMAIN = FindingType(
    code="dmarc.sp_on_subdomain",
    severity=Severity.LOW,
    summary="DMARC: sp and np have no effect in the record of a subdomain",
    why="Receivers read `sp` and `np` at the organizational domain only, so the values protect "
    "nothing.",
    remediation="Remove `sp` and `np` from this record.",
    reference="RFC 9989 §4.7",
)
NP_MISSING = FindingType(
    code="dmarc.np_missing",
    severity=Severity.INFO,
    summary="DMARC: no np, so names that do not exist get the subdomain policy",
    why="Mail from names that do not exist is treated like mail from subdomains, which may be "
    "weaker than necessary.",
    remediation="No action is needed; `np=reject` is safe, because no legitimate mail comes from "
    "names that do not exist.",
    reference="RFC 9989 §4.7",
)
NP_WEAKER = FindingType(
    code="dmarc.np_weaker",
    severity=Severity.MEDIUM,
    summary="DMARC: names that do not exist are protected less than the domain",
    why="Attackers can spoof names below the domain that do not exist.",
    remediation="Publish `np=reject`, which affects no legitimate mail.",
    note="`np` is weaker than `p` and `sp`.",
    reference="RFC 9989 §4.7",
)
PSD_UNEXPECTED = FindingType(
    code="dmarc.psd_unexpected",
    severity=Severity.MEDIUM,
    summary="DMARC: psd=y declares the domain a registry, so its subdomains lose protection",
    why="Each subdomain counts as a separate organization, so the policy of the domain no longer "
    "protects it.",
    remediation="Remove `psd`.",
    reference="RFC 9989 §4.7",
)
TESTING = FindingType(
    code="dmarc.testing_mode",
    severity=Severity.MEDIUM,
    summary="DMARC test mode (t=y) weakens the policy by one level",
    why="Receivers treat `p=reject` like quarantine and `p=quarantine` like none, so spoofed "
    "mail is handled more leniently.",
    remediation="Remove `t=y` when the test is over.",
    reference="RFC 9989 §4.7",
)
REMOVED = {
    tag: FindingType(
        code=f"dmarc.removed_tag_{tag}",
        severity=Severity.INFO,
        summary=f"DMARC: tag {tag} was removed from the standard, so only older receivers use it",
        why="Receivers that follow RFC 9989 ignore the tag, so it has no effect there.",
        remediation="Remove the tag.",
        reference="RFC 9989 §C.5.2",
    )
    for tag in ("pct", "rf", "ri")
}
PCT = FindingType(
    code="dmarc.pct_below_100",
    severity=Severity.MEDIUM,
    summary="DMARC: pct is below 100, so older receivers apply the policy to only part of the mail",
    why="Receivers that follow the older RFC 7489 let part of the mail that fails pass; those "
    "that follow RFC 9989 ignore `pct`.",
    remediation="Remove `pct`.",
    reference="RFC 7489 §6.3",
)
UNKNOWN_TAG = FindingType(
    code="dmarc.unknown_tag",
    severity=Severity.INFO,
    summary="DMARC: unknown tag ignored",
    why="The tag has no effect; it is often a typing error in the name of another tag, which is "
    "then missing.",
    remediation="Correct or remove the tag.",
    reference="RFC 9989 §4.7",
)
DUPLICATE_TAG = FindingType(
    code="dmarc.duplicate_tag",
    severity=Severity.LOW,
    summary="DMARC: duplicate tag, so only the first value counts",
    why="Receivers may differ in the value that they use, so the policy is not the same "
    "everywhere.",
    remediation="Keep the tag with the value that you need, and remove the others.",
    reference="RFC 9989 §4.7",
    is_syntax=True,
)
NOT_A_TAG = FindingType(
    code="dmarc.malformed_tag",
    severity=Severity.LOW,
    summary="DMARC: malformed tag ignored",
    why="The part without `=` has no effect, so a setting that you intended may be missing.",
    remediation="Correct or remove the part.",
    reference="RFC 9989 §4.8",
    is_syntax=True,
)
FO_INVALID = FindingType(
    code="dmarc.fo_invalid",
    severity=Severity.LOW,
    summary="DMARC: invalid fo value, so receivers use fo=0",
    why="Receivers send failure reports only for mail that fails both SPF and DKIM.",
    remediation="Write `fo=1`, or remove `fo`.",
    note="The value is not one that RFC 9989 defines.",
    reference="RFC 9989 §4.7",
    is_syntax=True,
)
ALIGNMENT_INVALID = FindingType(
    code="dmarc.alignment_invalid",
    severity=Severity.MEDIUM,
    summary="DMARC: invalid adkim or aspf value, so receivers use relaxed alignment",
    why="Receivers use `r` regardless of the mode that you intended, so mail from subdomains may "
    "align.",
    remediation="Write `r` or `s`, or remove the tag.",
    reference="RFC 9989 §4.7",
    is_syntax=True,
)
ALIGNMENT_STRICT = FindingType(
    code="dmarc.alignment_strict_risk",
    severity=Severity.INFO,
    summary="DMARC: strict alignment, so mail of subdomains and of many services does not align",
    why="Mail that is signed or sent with a subdomain such as `news.` fails DMARC although it is "
    "legitimate.",
    remediation="No action is needed if strict alignment is intended; otherwise remove the tag.",
    reference="RFC 9989 §4.4",
)
TAG_INVALID = FindingType(
    code="dmarc.tag_invalid",
    severity=Severity.LOW,
    summary="DMARC: invalid t or psd value, so receivers use the default",
    why="Receivers use the default instead of the value that you intended.",
    remediation="Correct or remove the tag.",
    note="The value is not one that RFC 9989 defines.",
    reference="RFC 9989 §4.8",
    is_syntax=True,
)
TOO_LONG = FindingType(
    code="dmarc.record_too_long",
    severity=Severity.LOW,
    summary="DMARC record is longer than recommended",
    why="The response may not fit into one UDP packet, and receivers that cannot use TCP then "
    "get no record.",
    remediation="Remove tags that only repeat the default.",
    note="The record has more than 450 characters.",
    reference="RFC 7208 §3.4",
)
NOT_LOCKED = FindingType(
    code="dmarc.not_locked_down",
    severity=Severity.MEDIUM,
    summary="DMARC: domain sends no email, but its policy is not p=reject",
    why="Mail that spoofs the domain is delivered, although no legitimate mail could be affected "
    "by rejecting it.",
    remediation="Publish `p=reject`; a subdomain gets a record of its own.",
    note="The domain use says that it sends nothing.",
    reference="RFC 9989 §7.4",
)

FINDING_TYPES = (
    *(POLICY_NONE, POLICY_QUARANTINE, MISSING_P, POLICY_INVALID, SUBDOMAIN_WEAKER),
    *(SUBDOMAIN_MISSING, SP_ON_SUBDOMAIN, NP_MISSING, NP_WEAKER, PSD_UNEXPECTED, TESTING),
    *(*REMOVED.values(), PCT, UNKNOWN_TAG, DUPLICATE_TAG, NOT_A_TAG, FO_INVALID),
    *(ALIGNMENT_INVALID, ALIGNMENT_STRICT, TAG_INVALID, TOO_LONG, NOT_LOCKED),
)

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
