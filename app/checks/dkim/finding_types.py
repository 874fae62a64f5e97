"""The types of findings about DKIM selectors and keys."""

from app.checks.engine import cname_conflict
from app.checks.engine.types import FindingType, Severity, Verdict

NONE_KNOWN = FindingType(
    code="dkim.no_selector_known",
    severity=Severity.INFO,
    summary="DKIM: no selector is known, so keys cannot be checked",
    observed="No selector is configured or seen in reports, and none of the common ones has a key "
    "at {subject}: {tried}.",
    why="A scan cannot check the keys of the domain, because DNS cannot list selectors.",
    remediation="Add the selectors of the domain (`dkimSelectors`), or send its DMARC reports to "
    "this service.",
    note="None of the common names has a key.",
    reference="RFC 6376 §3.6.2.1",
    verdict=Verdict.INFO,
)
MISSING = FindingType(
    code="dkim.selector_missing",
    severity=Severity.HIGH,
    summary="DKIM selector has no public key in DNS",
    observed="There is no TXT record at {subject}.",
    why="Receivers cannot verify signatures that name the selector, so DKIM fails for that mail.",
    remediation="Publish the key that the sending service shows, or remove the selector from the "
    "list.",
    reference="RFC 6376 §3.6.2.2",
)
CNAME_BROKEN = FindingType(
    code="dkim.selector_cname_broken",
    severity=Severity.HIGH,
    summary="CNAME target has no DKIM key",
    observed="{subject} is an alias that leads to {leads_to}, where there is no TXT record.",
    why="Receivers cannot verify signatures that name the selector, so DKIM fails for that mail.",
    remediation="Check at the sending service that the domain is still set up.",
    note="The CNAME of the selector exists, but there is no key at its target.",
    reference="RFC 6376 §3.6.2.2",
)
REVOKED = FindingType(
    code="dkim.key_revoked",
    severity=Severity.INFO,
    summary="DKIM key is revoked",
    observed="The tag `p` of the record at {subject} is empty.",
    why="Signatures with this key no longer verify, which is intended when a key is withdrawn.",
    remediation="No action is needed; remove the record after some weeks.",
    note="`p=` is empty.",
    reference="RFC 6376 §3.6.1",
    verdict=Verdict.INFO,
)
SYNTAX = FindingType(
    code="dkim.record_syntax",
    severity=Severity.HIGH,
    summary="DKIM record is malformed, so signatures fail",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Receivers cannot read the record, so they cannot verify signatures that name the "
    "selector.",
    remediation="Publish the record again as the sending service shows it.",
    note="The list of tags cannot be read, or there is no key in it.",
    reference="RFC 6376 §3.2",
    hides_others=True,
    is_syntax=True,
)
INVALID = FindingType(
    code="dkim.key_invalid",
    severity=Severity.HIGH,
    summary="DKIM key cannot be used, so signatures fail",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Receivers cannot use the key, so they cannot verify signatures that name the selector.",
    remediation="Publish the record again as the sending service shows it.",
    note="`p` is missing, or the type of the key is unknown.",
    reference="RFC 6376 §3.6.1",
    hides_others=True,
)
CORRUPT = FindingType(
    code="dkim.key_corrupt",
    severity=Severity.HIGH,
    summary="DKIM key is corrupt, so signatures fail",
    observed="The record at {subject} is {record}: {reason:text}.",
    why="Receivers cannot decode the key, so they cannot verify signatures that name the selector.",
    remediation="Publish the complete key again; a part of `p` was probably lost when the record "
    "was entered.",
    reference="RFC 6376 §3.6.1",
)
SEVERAL = FindingType(
    code="dkim.multiple_records",
    severity=Severity.HIGH,
    summary="DKIM: more than one key at a selector, so signatures may fail",
    observed="The records at {subject} are {records}.",
    why="A receiver may use either key, so correct signatures may fail.",
    remediation="Keep the record with the key that signs, and remove the others.",
    reference="RFC 6376 §3.6.2.2",
)
TOO_SHORT = FindingType(
    code="dkim.key_too_short",
    severity=Severity.CRITICAL,
    summary="DKIM key is under 1024 bits: receivers ignore the signature",
    observed="The key at {subject} has {bits} bits. Receivers require at least {least}.",
    why="Receivers must not accept the signatures, because the key can be broken and mail can be "
    "forged with it.",
    remediation="Create a key of 2048 bits under a new selector.",
    note="RSA keys below 1024 bits.",
    reference="RFC 8301 §3.2",
)
SHORT = FindingType(
    code="dkim.key_1024",
    severity=Severity.MEDIUM,
    summary="DKIM key is 1024-bit; use 2048",
    observed="The key at {subject} has {bits} bits. At least {advised} are recommended.",
    why="Receivers may stop accepting RSA keys below 2048 bits, because they will become "
    "feasible to break.",
    remediation="Create a key of 2048 bits under a new selector.",
    reference="RFC 8301 §3.2",
)
SHA1 = FindingType(
    code="dkim.sha1_only",
    severity=Severity.HIGH,
    summary="DKIM key allows SHA-1 only, which receivers reject",
    observed="The tag `h` of the record at {subject} lists only {hashes}.",
    why="`h=sha1` excludes SHA-256, so DKIM fails for all mail that is signed with this key.",
    remediation="Remove `h` from the record.",
    reference="RFC 8301 §3.1",
)
UNKNOWN_HASH = FindingType(
    code="dkim.unknown_hash",
    severity=Severity.LOW,
    summary="DKIM key lists an unknown hash algorithm, which receivers ignore",
    observed="The tag `h` of the record at {name} lists {item}.",
    why="Receivers ignore the value, so it has no effect and is probably a mistake.",
    remediation="Remove the unknown value from `h`.",
    reference="RFC 6376 §3.6.1",
)
SERVICE = FindingType(
    code="dkim.service_type",
    severity=Severity.MEDIUM,
    summary="DKIM key is not for email, so signatures fail",
    observed="The tag `s` of the record at {subject} lists only {services}.",
    why="Receivers must not use the key for email, so DKIM fails for all mail that is signed "
    "with it.",
    remediation="Remove `s` from the record.",
    note="`s` contains neither `email` nor `*`.",
    reference="RFC 6376 §3.6.1",
)
TESTING = FindingType(
    code="dkim.testing_flag",
    severity=Severity.LOW,
    summary="DKIM key is in testing mode (t=y), so signed mail is treated as unsigned",
    observed="The record at {subject} has `t=y`.",
    why="Receivers may treat the signed mail as unsigned, so DKIM protects nothing yet.",
    remediation="Remove `t=y` from the record.",
    reference="RFC 6376 §3.6.1",
)
ED25519_ONLY = FindingType(
    code="dkim.ed25519_only",
    severity=Severity.INFO,
    summary="DKIM: only Ed25519 keys, which not every receiver can verify",
    observed="All keys that were found for {subject} have `k=ed25519`.",
    why="Receivers that verify RSA only treat the mail as unsigned.",
    remediation="Sign with an RSA key as well.",
    reference="RFC 8463 §4",
)
PROVIDER_DEFAULT = FindingType(
    code="dkim.provider_default_not_set",
    severity=Severity.MEDIUM,
    summary="DKIM is not set up at the mail provider, so its mail is not signed as your domain",
    observed="The mail servers {hosts} belong to a provider that signs with the selectors "
    "{selectors}. They have no records below {subject}.",
    why="DMARC then depends on SPF alone, which fails when mail is forwarded.",
    remediation="Enable DKIM at the provider and publish the records that it shows.",
    note="The MX hosts belong to Microsoft 365, Fastmail or Proton, none of their selectors is "
    "published, and no other key is known.",
    reference="RFC 5863 §3.4",
)
WILDCARD = FindingType(
    code="dkim.wildcard",
    severity=Severity.INFO,
    summary="DKIM: a wildcard record answers for every selector",
    observed="The lookup of a made-up selector of {subject} returned {records}.",
    why="Queries for any selector get this record, so a scan cannot tell which selectors are in "
    "use.",
    remediation="No action is needed if the wildcard is intended; a key with an empty `p` at "
    "`*._domainkey` is the recommended way to revoke all other selectors.",
    reference="RFC 4592 §2",
)
CNAME_CONFLICT = cname_conflict.finding_type(
    "dkim", "DKIM", reader="receivers", severity=Severity.HIGH
)
