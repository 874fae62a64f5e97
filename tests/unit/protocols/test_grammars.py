"""The parsers accept exactly the records that the grammars of the RFCs describe.

A test that fails has found a parser that is too strict or too lenient, or a deviation that
belongs in ``TOLERATED`` with its reason.
"""

import os
import re
from collections.abc import Callable, Mapping, Sequence
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from app.checks.dns import caa
from app.protocols import dkim, dmarc, spf
from app.protocols.transport import mta_sts, tls_rpt
from tests.support import abnf

EXAMPLES = int(os.environ.get("GRAMMAR_EXAMPLES", "100"))
SEEDS = st.integers(0, 2**32)
KEY = (
    "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf"
    "9Cnzj4p4WGeKLs1Pt8QuKUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
)


def accepts_dmarc(text: str) -> bool:
    """Whether the parser recognizes the record and finds no mistake."""
    if not dmarc.is_record(text):
        return False
    record = dmarc.parse_record(text)
    return not (record.problems or record.duplicate_tags)


def accepts_mta_sts(text: str) -> bool:
    """Whether senders can use the record."""
    try:
        mta_sts.parse_record(text)
    except (mta_sts.NotMtaSts, mta_sts.MtaStsUnusable):
        return False
    return True


def accepts_tls_rpt(text: str) -> bool:
    """Whether the parser finds a destination and no mistake."""
    try:
        record = tls_rpt.parse_record(text)
    except (tls_rpt.NotTlsRpt, tls_rpt.TlsRptUnusable):
        return False
    return not (record.problems or record.duplicate_tags)


def accepts_spf(text: str) -> bool:
    """Whether the record is no permerror by its syntax."""
    try:
        return bool(spf.parse_record(text)) or True
    except (spf.NotSpf, spf.BadRecord):
        return False


def accepts_dkim(text: str) -> bool:
    """Whether verifiers can use the key."""
    try:
        dkim.parse_record(text.replace("KEY", KEY))
    except (dkim.NotDkim, dkim.Unusable):
        return False
    return True


def accepts_caa(text: str) -> bool:
    """Whether CAs can read the value of the property."""
    return caa.issuer(text) is not None


ACCEPTS: Mapping[str, Callable[[str], bool]] = {
    "dmarc": accepts_dmarc,
    "mta_sts": accepts_mta_sts,
    "tls_rpt": accepts_tls_rpt,
    "spf": accepts_spf,
    "dkim": accepts_dkim,
    "caa": accepts_caa,
}


def field_names(text: str) -> list[str]:
    """The names of the fields or tags of a record, as written."""
    return [part.partition("=")[0].strip(" \t") for part in text.split(";") if part.strip(" \t")]


def has_no_repeated_tag(text: str) -> bool:
    """Whether each tag occurs once: the grammar of a list does not say so, but the text does."""
    names = field_names(text.lower())
    return len(set(names)) == len(names)


def is_key(text: str) -> bool:
    """Whether the tags of a list are those of an RSA key (RFC 6376 §3.6.1)."""
    pairs = [part.partition("=") for part in text.split(";") if part.strip(" \t")]
    tags = [(name.strip(" \t"), value.strip(" \t")) for name, _, value in pairs]
    values = dict(tags)
    has_version = "v" in values
    return (
        len(values) == len(tags)
        and (not has_version or tags[0] == ("v", "DKIM1"))
        and values.get("p") in ("KEY", "")
        and values.get("k", "rsa").lower() == "rsa"
    )


def has_first_id(text: str) -> bool:
    """Whether the first id is one of RFC 8461 §3.1: no extension has its name."""
    first = re.search(r"[; \t]id=([^;]*)", text)
    return first is not None and re.fullmatch(r"[A-Za-z0-9]{1,32}[ \t]*", first[1]) is not None


def has_one_rua(text: str) -> bool:
    """Whether there is one rua, with destinations: no extension has its name."""
    fields = [part.strip(" \t") for part in text.split(";")]
    values = [field for field in fields if field.startswith("rua=")]
    is_list = len(values) == 1 and abnf.pattern("tls_rpt", "rua").fullmatch(values[0])
    names = field_names(text)
    return bool(is_list) and len(set(names)) == len(names)


def has_no_repeated_modifier(text: str) -> bool:
    """Whether redirect and exp occur once each (RFC 7208 §6)."""
    names = [word.partition("=")[0].lower() for word in text.split(" ") if "=" in word]
    return max(names.count("redirect"), names.count("exp")) <= 1


# The rules from which records are generated, if few texts of the first rule are records.
GENERATED = {"dkim": "typical"}
# What the text of the RFC adds to its grammar.
RULES: Mapping[str, Callable[[str], bool]] = {
    "dmarc": has_no_repeated_tag,
    "mta_sts": has_first_id,
    "tls_rpt": has_one_rua,
    "dkim": is_key,
    "spf": has_no_repeated_modifier,
}
# Blanks at the end of a record: all readers remove them.
BLANK_AT_THE_END = re.compile(r"[^; \t][ \t]+$")
# A label with these at the third and fourth position is reserved, and no name that is registered.
TWO_HYPHENS = re.compile("--")
# A host that is an address, or has no letter in its last label, and long port numbers.
NUMBER = re.compile(
    r"[@./](?:[\d-]+|0x[\da-f]*)\.?(?=[,;:/?\s]|$)|:\d{5}", re.ASCII | re.IGNORECASE
)
# URIs that the grammars do not write out.
OTHER_URI = re.compile(
    r"[=,][ \t]*(?!mailto:|https:)[a-z][\w+.-]*:|https://[^,;/?]*@", re.ASCII | re.IGNORECASE
)
_KNOWN = "v|p|sp|np|adkim|aspf|fo|rua|ruf|t|psd"
# What the parsers treat differently from the grammar, because no receiver acts differently.
TOLERATED: Mapping[str, Sequence[re.Pattern[str]]] = {
    "dmarc": [
        BLANK_AT_THE_END,
        TWO_HYPHENS,
        OTHER_URI,
        NUMBER,
        # RFC 9989 §4.8 ignores what is no tag: nothing between two semicolons has no effect.
        re.compile(r";[ \t]*;"),
        # An unknown tag is ignored whatever its name is; ``dmarc.unknown_tag`` names it.
        re.compile(r";[ \t]*(?=[^=;]*[^A-Za-z \t;=])[^=;]+="),
        re.compile(r";[ \t]*[A-Za-z]+[ \t]+[A-Za-z \t]+="),
        re.compile(rf";[ \t]*(?!(?:{_KNOWN})[ \t]*=)[a-z]+[ \t]*=[^;]*\t", re.IGNORECASE),
        re.compile(r"fo[ \t]*=[ \t]*[01ds](?::[01ds])+", re.IGNORECASE),  # the list of §4.7
    ],
    "mta_sts": [BLANK_AT_THE_END],
    # The grammar writes out other forms of IPv6 addresses only.
    "spf": [re.compile(r"ip6:[0-9a-f:]*::[0-9a-f]", re.IGNORECASE)],
    "tls_rpt": [BLANK_AT_THE_END, TWO_HYPHENS, OTHER_URI, NUMBER],
}
_OTHER_MODIFIER = re.compile(
    r"(?<= )(?!(?:redirect|exp)=)[a-z][a-z0-9_.-]*=", re.ASCII | re.IGNORECASE
)
_OTHER_TAG = re.compile(rf"(?<=[; \t])(?!(?:{_KNOWN})[ \t]*=)[a-z]+(?=[ \t]*=)", re.IGNORECASE)


def is_valid(grammar: str, text: str) -> bool:
    """Whether the text is a record by the RFC."""
    rule, renamed = RULES.get(grammar), text
    if grammar == "spf":
        renamed = _OTHER_MODIFIER.sub("x=", text)
    if grammar == "dmarc":
        renamed = _OTHER_TAG.sub("x", text)
    return abnf.pattern(grammar).fullmatch(renamed) is not None and (rule is None or rule(text))


def is_tolerated(grammar: str, text: str) -> bool:
    """Whether the parser may treat the text differently from the grammar."""
    return any(pattern.search(text) for pattern in TOLERATED.get(grammar, ()))


def generated(grammar: str, random: Random) -> str:
    """A record of the grammar."""
    return abnf.rule(grammar, GENERATED.get(grammar, "")).text(random)


def mutated(text: str, random: Random) -> str:
    """The text with one character replaced, inserted or removed."""
    at = random.randint(0, len(text))
    new: str = random.choice([*" \t;=:,.!%/@-+~?{}\"'\\", *"aAzZ019v", ""])
    removed = random.randint(0, 1) if new else 1
    return text[:at] + new + text[at + removed :]


@pytest.mark.parametrize("grammar", ACCEPTS)
@settings(max_examples=EXAMPLES)
@given(seed=SEEDS)
def test_every_record_of_the_grammar_is_accepted(grammar: str, seed: int) -> None:
    random = Random(seed)
    text = generated(grammar, random)
    while not is_valid(grammar, text) or is_tolerated(grammar, text):
        text = generated(grammar, random)
    assert ACCEPTS[grammar](text), text


@pytest.mark.parametrize("grammar", ACCEPTS)
@settings(max_examples=EXAMPLES)
@given(seed=SEEDS)
def test_record_with_one_other_character_is_accepted_only_if_it_is_valid(
    grammar: str, seed: int
) -> None:
    random = Random(seed)
    text = mutated(generated(grammar, random), random)
    assume(not is_tolerated(grammar, text))
    assert ACCEPTS[grammar](text) == is_valid(grammar, text), text


def test_grammar_is_parsed_with_repetitions_options_and_case() -> None:
    rules = {"a": '1*2DIGIT ["x"] (%s"Y" / %x2D)', "digit": "%x30-39"}
    node = abnf.parse(rules, "a")
    valid = re.compile(node.regex())
    assert valid.fullmatch("12XY")
    assert valid.fullmatch("1-")
    assert not valid.fullmatch("123Y")
    assert not valid.fullmatch("1y")
    assert all(valid.fullmatch(node.text(Random(seed))) for seed in range(50))
