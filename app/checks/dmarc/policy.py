"""Findings about the policy and the tags of a DMARC record (RFC 9989 §4.7)."""

from collections.abc import Iterator

from app.checks.dmarc.destinations import Source
from app.checks.engine.types import Finding, FindingType, Fix, Severity, Subject, Usage, Verdict
from app.protocols import public_suffix, repair
from app.protocols.dmarc import VERSION, Alignment, Policy, Psd
from app.protocols.dmarc.discovery import Discovery

MAX_RECORD = 450  # characters, so that the answer fits into one UDP packet of 512 octets

POLICY_NONE = FindingType(
    "dmarc.policy_none",
    Severity.HIGH,
    "DMARC policy is p=none: mail that fails is still delivered",
    "RFC 9989 §4.7",
    Verdict.WARN,
)
POLICY_QUARANTINE = FindingType(
    "dmarc.policy_quarantine",
    Severity.INFO,
    "DMARC policy is p=quarantine: mail that fails is treated as suspicious",
    "RFC 9989 §4.7",
)
MISSING_P = FindingType(
    "dmarc.policy_missing_p",
    Severity.MEDIUM,
    "DMARC: no policy (p), so receivers assume p=none",
    "RFC 9989 §4.10.1",
    leads_to=("dmarc.policy_none",),
)
POLICY_INVALID = FindingType(
    "dmarc.policy_invalid",
    Severity.CRITICAL,
    "DMARC: invalid policy value, so the record counts as p=none or not at all",
    "RFC 9989 §4.10.1",
    hides_others=True,
)
SUBDOMAIN_WEAKER = FindingType(
    "dmarc.subdomain_policy_weaker",
    Severity.HIGH,
    "DMARC: subdomains are protected less than the domain",
    "RFC 9989 §4.7",
    Verdict.WARN,
)
SUBDOMAIN_MISSING = FindingType(
    "dmarc.subdomain_policy_missing",
    Severity.INFO,
    "DMARC: no subdomain policy (sp), so p applies to subdomains too",
    "RFC 9989 §4.7",
)
SP_ON_SUBDOMAIN = FindingType(
    "dmarc.sp_on_subdomain",
    Severity.LOW,
    "DMARC: sp and np have no effect in the record of a subdomain",
    "RFC 9989 §4.7",
)
NP_MISSING = FindingType(
    "dmarc.np_missing",
    Severity.INFO,
    "DMARC: no np, so names that do not exist get the subdomain policy",
    "RFC 9989 §4.7",
)
NP_WEAKER = FindingType(
    "dmarc.np_weaker",
    Severity.MEDIUM,
    "DMARC: names that do not exist are protected less than the domain",
    "RFC 9989 §4.7",
)
PSD_UNEXPECTED = FindingType(
    "dmarc.psd_unexpected",
    Severity.MEDIUM,
    "DMARC: psd=y declares the domain a registry, so its subdomains lose protection",
    "RFC 9989 §4.7",
)
TESTING = FindingType(
    "dmarc.testing_mode",
    Severity.MEDIUM,
    "DMARC test mode (t=y) weakens the policy by one level",
    "RFC 9989 §4.7",
)
REMOVED = {
    tag: FindingType(
        f"dmarc.removed_tag_{tag}",
        Severity.INFO,
        f"DMARC: tag {tag} was removed from the standard, so only older receivers use it",
        "RFC 9989 §C.5.2",
    )
    for tag in ("pct", "rf", "ri")
}
PCT = FindingType(
    "dmarc.pct_below_100",
    Severity.MEDIUM,
    "DMARC: pct is below 100, so older receivers apply the policy to only part of the mail",
    "RFC 7489 §6.3",
)
UNKNOWN_TAG = FindingType(
    "dmarc.unknown_tag", Severity.INFO, "DMARC: unknown tag ignored", "RFC 9989 §4.7"
)
DUPLICATE_TAG = FindingType(
    "dmarc.duplicate_tag",
    Severity.LOW,
    "DMARC: duplicate tag, so only the first value counts",
    "RFC 9989 §4.7",
)
NOT_A_TAG = FindingType(
    "dmarc.malformed_tag", Severity.LOW, "DMARC: malformed tag ignored", "RFC 9989 §4.8"
)
FO_INVALID = FindingType(
    "dmarc.fo_invalid",
    Severity.LOW,
    "DMARC: invalid fo value, so receivers use fo=0",
    "RFC 9989 §4.7",
)
ALIGNMENT_INVALID = FindingType(
    "dmarc.alignment_invalid",
    Severity.MEDIUM,
    "DMARC: invalid adkim or aspf value, so receivers use relaxed alignment",
    "RFC 9989 §4.7",
)
ALIGNMENT_STRICT = FindingType(
    "dmarc.alignment_strict_risk",
    Severity.INFO,
    "DMARC: strict alignment, so mail of subdomains and of many services does not align",
    "RFC 9989 §4.4",
)
TAG_INVALID = FindingType(
    "dmarc.tag_invalid",
    Severity.LOW,
    "DMARC: invalid t or psd value, so receivers use the default",
    "RFC 9989 §4.8",
)
TOO_LONG = FindingType(
    "dmarc.record_too_long",
    Severity.LOW,
    "DMARC record is longer than recommended",
    "RFC 7208 §3.4",
)
NOT_LOCKED = FindingType(
    "dmarc.not_locked_down",
    Severity.MEDIUM,
    "DMARC: domain sends no email, but its policy is not p=reject",
    "RFC 9989 §7.4",
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

    What the record of a parent requests for other subdomains is judged at the parent.
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
        yield POLICY_INVALID.at(
            source.name, tag=problem.name, value=problem.value, reason=problem.reason, fix=fix
        )
        break  # one invalid tag voids all of them
    if record.p is None and not unreadable:
        fix = source.rewritten(
            "p", "none", "State p explicitly: without it, receivers assume p=none."
        )
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
    tags = [("v", VERSION), ("p", "reject")]
    for tag in ("rua", "ruf"):
        if addresses := getattr(source.record, tag):
            tags.append((tag, ",".join(addresses)))  # reports about the domain go where they went
    name, record = f"_dmarc.{subject.domain}", repair.joined(tags)
    return Fix("publish", name, "TXT", None, record, "Remove the record.", why)


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
    for tag in record.removed_tags:
        fix = source.rewritten(tag, None, "Remove the tag: current receivers ignore it.")
        yield REMOVED[tag].at(source.name, fix=fix)
    if record.pct is not None and record.pct < 100:
        yield PCT.at(source.name, pct=record.pct, fix=_without_pct(source))
    if record.unknown_tags:
        yield UNKNOWN_TAG.at(source.name, tags=list(record.unknown_tags))
    if record.duplicate_tags:
        once = source.repaired("Receivers read the first occurrence only. List each tag once.")
        yield DUPLICATE_TAG.at(source.name, tags=list(record.duplicate_tags), fix=once)
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
    fix = source.repaired("Receivers ignore the invalid part. Correct or remove it.")
    for problem in source.record.problems:
        if kind := kinds.get(problem.name):
            subject = f"{source.name} {problem.name or problem.value[:60]}"
            yield kind.at(subject, value=problem.value, reason=problem.reason, fix=fix)


def _without_pct(source: Source) -> Fix:
    return source.rewritten(
        "pct", None, "Remove pct: current receivers ignore it, older ones do not."
    )
