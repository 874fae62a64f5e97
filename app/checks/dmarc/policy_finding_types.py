"""The types of findings about the policy and the tags of a DMARC record."""

from app.checks.engine.types import FindingType, Severity, Verdict

POLICY_NONE = FindingType(
    code="dmarc.policy_none",
    severity=Severity.HIGH,
    summary="DMARC policy is p=none: mail that fails is still delivered",
    observed="The record at {subject} is {record}.",
    why="The policy is useful for monitoring, but mail that spoofs the domain still reaches its "
    "recipients.",
    remediation="Publish `p=quarantine`, then `p=reject`, once the reports show that all of your "
    "own mail passes.",
    reference="RFC 9989 §4.7",
    verdict=Verdict.WARN,
    decided_on="policy",
)
POLICY_QUARANTINE = FindingType(
    code="dmarc.policy_quarantine",
    severity=Severity.INFO,
    summary="DMARC policy is p=quarantine: mail that fails is treated as suspicious",
    observed="The record at {subject} has `p=quarantine`.",
    why="Mail that spoofs the domain usually goes to the spam folder, where its recipients can "
    "still open it.",
    remediation="Publish `p=reject` once the reports show that none of your own mail fails.",
    reference="RFC 9989 §4.7",
    decided_on="policy",
)
MISSING_P = FindingType(
    code="dmarc.policy_missing_p",
    severity=Severity.MEDIUM,
    summary="DMARC: no policy (p), so receivers assume p=none",
    observed="The record at {subject} is {record}. It has no tag `p`.",
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
    observed="The tag {tag} of the record at {subject} has the value {value}: {reason:text}.",
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
    observed="The record at {subject} has the policy {p} for the domain and {sp} for its "
    "subdomains.",
    why="Attackers who cannot spoof the domain can spoof its subdomains instead.",
    remediation="Remove `sp`, so that `p` applies to subdomains too.",
    note="`sp` is weaker than `p`.",
    reference="RFC 9989 §4.7",
    verdict=Verdict.WARN,
    decided_on="policy",
)
SUBDOMAIN_MISSING = FindingType(
    code="dmarc.subdomain_policy_missing",
    severity=Severity.INFO,
    summary="DMARC: no subdomain policy (sp), so p applies to subdomains too",
    observed="The record at {subject} has no tag `sp`.",
    why="Mail from a subdomain without a record of its own is treated like mail from the domain.",
    remediation="No action is needed.",
    reference="RFC 9989 §4.7",
)
SP_ON_SUBDOMAIN = FindingType(
    code="dmarc.sp_on_subdomain",
    severity=Severity.LOW,
    summary="DMARC: sp and np have no effect in the record of a subdomain",
    observed="The record at {subject} is {record}. Receivers read `sp` and `np` at the "
    "organizational domain only.",
    why="Receivers read `sp` and `np` at the organizational domain only, so the values protect "
    "nothing.",
    remediation="Remove `sp` and `np` from this record.",
    reference="RFC 9989 §4.7",
)
NP_MISSING = FindingType(
    code="dmarc.np_missing",
    severity=Severity.INFO,
    summary="DMARC: no np, so names that do not exist get the subdomain policy",
    observed="The record at {subject} has no tag `np`.",
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
    observed="The record at {subject} has the policy {p} for the domain and {np} for names that do "
    "not exist.",
    why="Attackers can spoof names below the domain that do not exist.",
    remediation="Publish `np=reject`, which affects no legitimate mail.",
    note="`np` is weaker than `p` and `sp`.",
    reference="RFC 9989 §4.7",
)
PSD_UNEXPECTED = FindingType(
    code="dmarc.psd_unexpected",
    severity=Severity.MEDIUM,
    summary="DMARC: psd=y declares the domain a registry, so its subdomains lose protection",
    observed="The record at {subject} has `psd=y`.",
    why="Each subdomain counts as a separate organization, so the policy of the domain no longer "
    "protects it.",
    remediation="Remove `psd`.",
    reference="RFC 9989 §4.7",
)
TESTING = FindingType(
    code="dmarc.testing_mode",
    severity=Severity.MEDIUM,
    summary="DMARC test mode (t=y) weakens the policy by one level",
    observed="The record at {subject} has `t=y`.",
    why="Receivers treat `p=reject` like quarantine and `p=quarantine` like none, so spoofed "
    "mail is handled more leniently.",
    remediation="Remove `t=y` when the test is over.",
    reference="RFC 9989 §4.7",
    decided_on="policy",
)
REMOVED = {
    tag: FindingType(
        code=f"dmarc.removed_tag_{tag}",
        severity=Severity.INFO,
        summary=f"DMARC: tag {tag} was removed from the standard, so only older receivers use it",
        observed=f"The record at {{subject}} has the tag `{tag}`.",
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
    observed="The record at {subject} has the tag `pct` with the value {pct}.",
    why="Receivers that follow the older RFC 7489 let part of the mail that fails pass; those "
    "that follow RFC 9989 ignore `pct`.",
    remediation="Remove `pct`.",
    reference="RFC 7489 §6.3",
)
UNKNOWN_TAG = FindingType(
    code="dmarc.unknown_tag",
    severity=Severity.INFO,
    summary="DMARC: unknown tag ignored",
    observed="DMARC does not define the tag {tags} of the record at {subject}.",
    why="The tag has no effect; it is often a typing error in the name of another tag, which is "
    "then missing.",
    remediation="Correct or remove the tag.",
    reference="RFC 9989 §4.7",
)
DUPLICATE_TAG = FindingType(
    code="dmarc.duplicate_tag",
    severity=Severity.LOW,
    summary="DMARC: duplicate tag, so only the first value counts",
    observed="The record at {subject} has the tag {tags} more than once.",
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
    observed="The record at {name} has the part {value}: {reason:text}.",
    why="The part without `=` has no effect, so a setting that you intended may be missing.",
    remediation="Correct or remove the part.",
    reference="RFC 9989 §4.8",
    is_syntax=True,
)
FO_INVALID = FindingType(
    code="dmarc.fo_invalid",
    severity=Severity.LOW,
    summary="DMARC: invalid fo value, so receivers use fo=0",
    observed="The tag {item} of the record at {name} has the value {value}: {reason:text}.",
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
    observed="The tag {item} of the record at {name} has the value {value}: {reason:text}.",
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
    observed="The record at {subject} has the value `s` for {tags}.",
    why="Mail that is signed or sent with a subdomain such as `news.` fails DMARC although it is "
    "legitimate.",
    remediation="No action is needed if strict alignment is intended; otherwise remove the tag.",
    reference="RFC 9989 §4.4",
)
TAG_INVALID = FindingType(
    code="dmarc.tag_invalid",
    severity=Severity.LOW,
    summary="DMARC: invalid t or psd value, so receivers use the default",
    observed="The tag {item} of the record at {name} has the value {value}: {reason:text}.",
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
    observed="The record at {subject} has {length} characters. At most {advised} are recommended.",
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
    observed="The domain is set to {usage:text}, and the policy at {subject} is weaker than "
    "`p=reject`.",
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
