"""The types of findings about the MTA-STS record and policy."""

from app.checks.engine import cname_conflict
from app.checks.engine.types import FindingType, Severity, Verdict

MISSING = FindingType(
    code="mta_sts.missing",
    severity=Severity.LOW,
    summary="MTA-STS is not set up, so senders do not require verified TLS",
    observed="There is no TXT record at {subject}.",
    why="An attacker between two mail servers can make senders deliver without encryption, or to "
    "another server.",
    remediation="Publish a policy with `mode: testing` first, and the record only when the "
    "policy can be fetched.",
    note="Not reported for a domain that does not receive.",
    reference="RFC 8461 §3.1",
    verdict=Verdict.INFO,
)
SEVERAL = FindingType(
    code="mta_sts.multiple_records",
    severity=Severity.HIGH,
    summary="MTA-STS: more than one record, so senders ignore all of them",
    observed="The records at {subject} are {records}.",
    why="Senders act as if there were no record, so they do not require verified TLS.",
    remediation="Keep one record, and remove the others.",
    reference="RFC 8461 §3.1",
    hides_others=True,
)
SYNTAX = FindingType(
    code="mta_sts.record_syntax",
    severity=Severity.HIGH,
    summary="MTA-STS record is invalid, so senders ignore it",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Senders act as if there were no record, so they do not require verified TLS.",
    remediation="Correct the record.",
    note="It does not start with `v=STSv1;`, has no `id`, or contains a malformed field.",
    reference="RFC 8461 §3.1",
    hides_others=True,
    is_syntax=True,
)
ID_INVALID = FindingType(
    code="mta_sts.id_invalid",
    severity=Severity.HIGH,
    summary="MTA-STS: invalid policy id, so senders ignore the record",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Senders act as if there were no record, so they do not require verified TLS.",
    remediation="Use 1 to 32 letters and digits for `id`, for example the date and time of the "
    "change.",
    reference="RFC 8461 §3.1",
    hides_others=True,
    is_syntax=True,
)
_OF_POLICY = (  # codes about the content of the policy, which must be fetched to tell
    *("mta_sts.policy_content_type", "mta_sts.policy_too_large", "mta_sts.policy_line_endings"),
    *("mta_sts.policy_syntax", "mta_sts.policy_version", "mta_sts.mx_missing_in_policy"),
    *("mta_sts.policy_mismatch", "mta_sts.mode_none", "mta_sts.mode_testing"),
    *("mta_sts.max_age_short", "mta_sts.max_age_too_long", "mta_sts.policy_changed_id_unchanged"),
    *("mta_sts.mx_cert_invalid_under_enforce", "mta_sts.policy_cert_expiring"),
    "mta_sts.conflicts_with_dane",
)
UNREACHABLE = FindingType(
    code="mta_sts.policy_unreachable",
    severity=Severity.HIGH,
    summary="MTA-STS: policy cannot be fetched, so senders cannot apply it",
    observed="The request for {subject} failed: {reason:text}.",
    why="Senders without a cached policy do not require verified TLS, and those with one keep "
    "applying it until it expires.",
    remediation="Serve the file at `https://mta-sts.<domain>/.well-known/mta-sts.txt`.",
    note="The record exists, but the policy host has no public address, or answers with a status "
    "other than 200. Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.3",
    flaps=True,
    conceals=_OF_POLICY,
)
REDIRECTED = FindingType(
    code="mta_sts.policy_redirected",
    severity=Severity.HIGH,
    summary="MTA-STS: policy host redirects, which senders do not follow",
    observed="The request for {subject} was answered with {reason:text}.",
    why="Senders do not follow the redirect, so they cannot fetch the policy.",
    remediation="Serve the file on the policy host itself.",
    note="Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.3",
    flaps=True,
    conceals=_OF_POLICY,
)
TLS_FAILED = FindingType(
    code="mta_sts.policy_tls_failed",
    severity=Severity.HIGH,
    summary="MTA-STS: untrusted certificate on the policy host, so senders ignore the policy",
    observed="The TLS connection for {subject} failed: {reason:text}.",
    why="Senders do not accept a policy over untrusted TLS, so they do not require verified TLS "
    "for your mail.",
    remediation="Renew the certificate, for the name of the policy host and from a public CA.",
    note="The certificate has expired, is for another name, or its issuer is not trusted. "
    "Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.3",
    flaps=True,
    conceals=_OF_POLICY,
)
CONTENT_TYPE = FindingType(
    code="mta_sts.policy_content_type",
    severity=Severity.LOW,
    summary="MTA-STS policy is not served as text/plain, so some senders refuse it",
    observed="{subject} is served with the content type {content_type}.",
    why="Senders that verify the type refuse the policy and do not require verified TLS.",
    remediation="Serve the file with the `Content-Type` header `text/plain`.",
    reference="RFC 8461 §3.2",
)
TOO_LARGE = FindingType(
    code="mta_sts.policy_too_large",
    severity=Severity.HIGH,
    summary="MTA-STS policy exceeds 64 KiB",
    observed="The policy at {subject} was not read: {reason:text}.",
    why="Senders stop reading at 64 KiB, so they do not have a policy that they can apply.",
    remediation="Remove everything from the file that is not part of the policy.",
    note="Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.3",
)
LINE_ENDINGS = FindingType(
    code="mta_sts.policy_line_endings",
    severity=Severity.HIGH,
    summary="MTA-STS policy uses wrong line endings",
    observed="The policy at {subject} breaks a rule: {reason:text}.",
    why="Senders cannot separate the lines, so they ignore the policy.",
    remediation="End the lines with CR LF or LF.",
    note="A CR alone does not end a line. Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.2",
)
POLICY_SYNTAX = FindingType(
    code="mta_sts.policy_syntax",
    severity=Severity.HIGH,
    summary="MTA-STS policy is invalid",
    observed="The policy at {subject} breaks a rule: {reason:text}.",
    why="Senders ignore the policy and do not require verified TLS.",
    remediation="Correct the line that the finding names.",
    note="A line is not `name: value`, or a value cannot be read. Critical where an enforced "
    "policy was seen before.",
    reference="RFC 8461 §3.2",
)
POLICY_VERSION = FindingType(
    code="mta_sts.policy_version",
    severity=Severity.HIGH,
    summary="MTA-STS policy does not declare version STSv1, so senders ignore it",
    observed="The policy at {subject} breaks a rule: {reason:text}.",
    why="Senders ignore the policy and do not require verified TLS.",
    remediation="Add the line `version: STSv1`.",
    note="The `version` line is missing or has another value. Critical where an enforced policy "
    "was seen before.",
    reference="RFC 8461 §3.2",
)
MX_MISSING = FindingType(
    code="mta_sts.mx_missing_in_policy",
    severity=Severity.HIGH,
    summary="MTA-STS policy lists no mail servers, so it is invalid",
    observed="The policy at {subject} breaks a rule: {reason:text}.",
    why="Senders ignore the policy and do not require verified TLS.",
    remediation="Add an `mx:` line for each mail server.",
    note="Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.2",
)
MISMATCH = FindingType(
    code="mta_sts.policy_mismatch",
    severity=Severity.MEDIUM,
    summary="MTA-STS: mail server missing from the policy, so mail to it is refused",
    observed="{subject} is a mail server of the domain. The policy at {policy} allows only "
    "{patterns}.",
    why="With `mode: enforce` senders do not deliver to the host; with `mode: testing` they "
    "deliver and report the failure.",
    remediation="Add the line that the finding shows, and change the `id` of the record.",
    note="Critical with `mode: enforce`.",
    reference="RFC 8461 §4.1",
)
MODE_NONE = FindingType(
    code="mta_sts.mode_none",
    severity=Severity.LOW,
    summary="MTA-STS policy is disabled (mode none)",
    observed="The policy at {subject} has `mode: none`.",
    why="Senders do not require verified TLS, which is appropriate only while MTA-STS is being "
    "removed.",
    remediation="Publish `mode: testing`, then `mode: enforce`.",
    reference="RFC 8461 §5",
)
MODE_TESTING = FindingType(
    code="mta_sts.mode_testing",
    severity=Severity.LOW,
    summary="MTA-STS is in testing mode: failures are reported, but mail is still delivered",
    observed="The policy at {subject} has `mode: testing`.",
    why="Senders deliver even if TLS fails, so an attacker can still read or redirect mail.",
    remediation="Publish `mode: enforce` once TLS reports show no failures.",
    note="Appropriate for some weeks.",
    reference="RFC 8461 §5",
)
AGE_SHORT = FindingType(
    code="mta_sts.max_age_short",
    severity=Severity.LOW,
    summary="MTA-STS: max_age is under a week, so senders forget the policy in days",
    observed="The policy at {subject} has a `max_age` of {max_age:count} seconds. At least "
    "{advised:count} are recommended.",
    why="An attacker only needs to block the policy for that time to make senders deliver "
    "without verified TLS.",
    remediation="Use some weeks for `max_age`, for example `1209600`.",
    reference="RFC 8461 §3.2",
)
AGE_LONG = FindingType(
    code="mta_sts.max_age_too_long",
    severity=Severity.HIGH,
    summary="MTA-STS: max_age is over a year, so the policy is invalid",
    observed="The policy at {subject} breaks a rule: {reason:text}.",
    why="Senders ignore the whole policy and do not require verified TLS.",
    remediation="Use at most `31557600` for `max_age`.",
    note="Critical where an enforced policy was seen before.",
    reference="RFC 8461 §3.2",
)
MX_CERT = FindingType(
    code="mta_sts.mx_cert_invalid_under_enforce",
    severity=Severity.CRITICAL,
    summary="MTA-STS: mail server's TLS cannot be trusted, so enforcing senders do not deliver",
    observed="The mode of the policy is `enforce`, and the TLS connection to {subject} has a "
    "problem: {reason:text}.",
    why="Senders that apply the policy do not deliver mail to this host.",
    remediation="Install a certificate for the name of the host; until then publish `mode: "
    "testing`.",
    note="The host was recently seen without STARTTLS, or with a certificate that has expired, "
    "is for another name or is not from a public CA (see `starttls`).",
    reference="RFC 8461 §4.2",
)
CERT_EXPIRING = FindingType(
    code="mta_sts.policy_cert_expiring",
    severity=Severity.MEDIUM,
    summary="MTA-STS: certificate of the policy host expires soon",
    observed="The certificate for {subject} is valid until {not_after:day}.",
    why="When it expires, senders can no longer fetch the policy.",
    remediation="Renew the certificate.",
    note="30 days or less are left; high in 7, critical in one.",
    reference="RFC 8461 §3.3",
)
WITH_DANE = FindingType(
    code="mta_sts.conflicts_with_dane",
    severity=Severity.INFO,
    summary="MTA-STS and DANE are both set up: senders that support both use DANE",
    observed="The mode of the policy is {mode}, and the mail servers {hosts} have TLSA records.",
    why="Such senders apply DANE, and a valid certificate does not compensate for a TLSA record "
    "that does not match.",
    remediation="No action is needed, but keep both correct.",
    note="The policy is in use, and MX hosts have signed, usable TLSA records.",
    reference="RFC 8461 §2",
)
ID_UNCHANGED = FindingType(
    code="mta_sts.policy_changed_id_unchanged",
    severity=Severity.HIGH,
    summary="MTA-STS: policy changed but its id did not, so senders keep the old policy",
    observed="The policy differs from the one of the previous scan. The record at {subject} still "
    "has the id {id}.",
    why="Senders fetch the policy again only when the `id` changes, so they may refuse mail "
    "servers that the old policy does not list.",
    remediation="Publish a new `id`.",
    reference="RFC 8461 §3.1",
)
CNAME_CONFLICT = cname_conflict.finding_type(
    "mta_sts", "MTA-STS", reader="senders", severity=Severity.HIGH
)
