import re

import pytest

from app.protocols import names, public_suffix
from app.protocols.names import DomainName, NotADomain
from tests.support.paths import DATA

PSL_TEXT = (DATA / "mail" / "test_psl.txt").read_text("utf-8")
PSL = re.findall(r"^checkPublicSuffix\('([^']+)', (?:null|'([^']+)')\);", PSL_TEXT, re.MULTILINE)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("mailwatch.org", "mailwatch.org"),
        ("  MailWatch.ORG.\n", "mailwatch.org"),
        ("a.b.c.mailwatch.org", "a.b.c.mailwatch.org"),
        ("3com.com", "3com.com"),
        ("1and1.co.uk", "1and1.co.uk"),
        ("bücher.de", "xn--bcher-kva.de"),
        ("BÜCHER.DE", "xn--bcher-kva.de"),
        ("bu\u0308cher.de", "xn--bcher-kva.de"),  # decomposed
        ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("faß.de", "xn--fa-hia.de"),  # non-transitional: not fass.de
        ("食狮.公司.cn", "xn--85x722f.xn--55qx5d.cn"),
        ("ｍａｉｌ。mailwatch．org", "mail.mailwatch.org"),  # full-width, ideographic stop
        ("אתר.co.il", "xn--4db2cf.co.il"),
        ("نامه\u200cای.com", "xn--mgba3gch31f060k.com"),  # a joiner where Persian needs it
        (f"{'a' * 63}.org", f"{'a' * 63}.org"),
        (".".join(["a" * 49] * 5) + ".org", ".".join(["a" * 49] * 5) + ".org"),  # 253 octets
    ],
)
def test_name_is_normalized_to_a_labels(text: str, name: str) -> None:
    assert names.parse(text) == name


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "empty"),
        (".", "empty"),
        ("a..org", "empty_label"),
        (".mailwatch.org", "empty_label"),
        (".\u05d0.org", "empty_label"),
        ("mailwatch.org..", "empty_label"),
        (f"{'a' * 64}.org", "label_too_long"),
        (f"{'ü' * 60}.org", "label_too_long"),
        (".".join(["a" * 49] * 4 + ["a" * 50]) + ".org", "name_too_long"),
        ("a" * 100_000, "name_too_long"),
        ("com", "single_label"),
        ("mailwatch", "single_label"),
        ("192.0.2.1", "ip_address"),
        ("192.0.2.1.", "ip_address"),
        ("127.1", "ip_address"),
        ("2130706433", "ip_address"),
        ("0x7f000001", "ip_address"),
        ("0x7F.1", "ip_address"),
        ("017700000001", "ip_address"),
        ("１２７．０．０．１", "ip_address"),
        ("::1", "ip_address"),
        ("[2001:db8::1]", "ip_address"),
        ("::ffff:192.0.2.1", "ip_address"),
        ("fe80::1%eth0", "ip_address"),
        ("mailwatch.1", "ip_address"),  # a browser reads it as an IP address
        ("*.mailwatch.org", "wildcard"),
        ("_dmarc.mailwatch.org", "underscore"),
        ("a_b.mailwatch.org", "underscore"),
        ("a＿b.mailwatch.org", "underscore"),
        ("-a.org", "hyphen"),
        ("a-.org", "hyphen"),
        ("ab--c.org", "reserved_label"),
        ("info@mailwatch.org", "invalid_character"),
        ("https://mailwatch.org/", "invalid_character"),
        ("mailwatch.org:25", "invalid_character"),
        ("192.0.2.0/24", "invalid_character"),
        ("mail watch.org", "invalid_character"),
        ("mailwatch.org'; --", "invalid_character"),
        ("mail\x00watch.org", "control_character"),
        ("mail\nwatch.org", "control_character"),
        ("mail\x7fwatch.org", "control_character"),
        ("mail\u202ewatch.org", "control_character"),
        ("mail\u200ewatch.org", "control_character"),
        ("mail\u00adwatch.org", "control_character"),
        ("mail\u200bwatch.org", "control_character"),
        ("mail\u034fwatch.org", "control_character"),  # UTS #46 would drop it
        ("mail\ud800watch.org", "control_character"),
        ("☃.net", "bad_idna"),
        ("xn--n3h.net", "bad_idna"),  # the same as an A-label
        ("xn--a.org", "bad_idna"),
        ("xn--abc-.org", "hyphen"),
        ("xn--mailwatch-.org", "hyphen"),
        ("XN--FASS-.de", "hyphen"),
        ("xn--Bcher-KVA-x.de", "bad_idna"),
        ("mail\u200cwatch.org", "bad_idna"),  # a joiner out of context
        ("1a.אתר.com", "bad_idna"),  # RFC 5893: right-to-left with a label that begins with 1
        ("mailwatch.test", "special_use"),
        ("localhost", "special_use"),
        ("a.b.localhost", "special_use"),
        ("printer.local", "special_use"),
        ("abc.onion", "special_use"),
        ("host.internal", "special_use"),
        ("host.home.arpa", "special_use"),
        ("1.2.0.192.in-addr.arpa", "special_use"),
        ("example.com", "special_use"),
        ("mail.example.org", "special_use"),
        ("co.uk", "public_suffix"),
        ("github.io", "public_suffix"),
        ("c.mm", "public_suffix"),
        ("公司.cn", "public_suffix"),
    ],
)
def test_invalid_domain_is_rejected_with_code(text: str, code: str) -> None:
    with pytest.raises(NotADomain) as refused:
        names.parse(text)
    assert refused.value.code == code
    assert refused.value.reason == str(refused.value) != ""


def test_special_use_name_is_accepted_if_allowed() -> None:
    assert names.parse("Acme.TEST", allow_special_use=True) == "acme.test"
    assert names.parse("example.com", allow_special_use=True) == "example.com"


@pytest.mark.parametrize("text", ["test", "localhost", "home.arpa"])
def test_allowing_special_use_does_not_allow_public_suffixes(text: str) -> None:
    with pytest.raises(NotADomain):
        names.parse(text, allow_special_use=True)


@pytest.mark.parametrize("text", ["localhost", "gov.uk", "mx.example.com", "COM"])
def test_host_may_be_a_name_that_is_not_a_registrable_domain(text: str) -> None:
    assert names.parse_host(text) == text.lower()


def test_ideographic_final_dot_is_removed() -> None:
    assert names.parse_host("mail.example。") == "mail.example"


def test_parsing_a_name_is_idempotent() -> None:
    for text in ("bücher.de", "食狮.公司.cn", "faß.de", "mailwatch.org"):
        assert names.parse(names.parse(text)) == names.parse(text)
        assert names.parse(names.unicode_name(names.parse(text))) == names.parse(text)


def test_names_are_displayed_with_u_labels() -> None:
    assert names.unicode_name("mail.xn--bcher-kva.de") == "mail.bücher.de"
    assert names.unicode_name("_dmarc.xn--a.de") == "_dmarc.xn--a.de"


@pytest.mark.parametrize(
    ("name", "is_mixed"),
    [
        ("mailwatch.org", False),
        ("bücher.de", False),
        ("пример.com", False),  # each label is of one script
        ("pаypal.com", True),  # the first a is Cyrillic
        ("日本のメール.jp", False),
        ("mail日本.jp", False),
        ("한글漢字.kr", False),
        ("かな한글.jp", True),
    ],
)
def test_mixed_script_labels_are_detected(name: str, is_mixed: bool) -> None:
    assert names.has_mixed_scripts(names.parse_host(name)) is is_mixed


@pytest.mark.parametrize(
    ("name", "parent", "is_below"),
    [
        ("a.example.org", "example.org", True),
        ("a.b.example.org", "example.org", True),
        ("example.org", "example.org", False),
        ("badexample.org", "example.org", False),
        ("example.org", "a.example.org", False),
    ],
)
def test_subdomain_is_below_its_parent(name: str, parent: str, is_below: bool) -> None:
    assert names.is_below(name, parent) is is_below


@pytest.mark.parametrize(
    ("name", "walked"),
    [
        ("com", ["com"]),
        ("example.com", ["example.com", "com"]),
        ("a.b.c.d.e.f.g", ["a.b.c.d.e.f.g", "b.c.d.e.f.g", "c.d.e.f.g", "d.e.f.g"]),
        ("a.b.c.d.e.f.g.h", ["a.b.c.d.e.f.g.h", "b.c.d.e.f.g.h", "c.d.e.f.g.h"]),
        ("z.y.a.b.c.d.e.f.g.h", ["z.y.a.b.c.d.e.f.g.h", "b.c.d.e.f.g.h", "c.d.e.f.g.h"]),
    ],
)
def test_tree_walk_ends_at_tld(name: str, walked: list[str]) -> None:
    visited = names.walk(DomainName(name))
    assert list(visited[: len(walked)]) == walked
    assert len(visited) <= 8
    assert visited[-1] == name.rpartition(".")[2]


def test_public_suffix_vectors_are_loaded() -> None:
    assert len(PSL) == 77


@pytest.mark.parametrize(("name", "registrable"), PSL)
def test_registrable_part_matches_public_suffix_vectors(name: str, registrable: str) -> None:
    assert public_suffix.registrable(name) == (registrable or None)


@pytest.mark.parametrize("name", ["com", "co.uk", "github.io", "example", "xn--55qx5d.cn"])
def test_public_suffixes_are_recognized(name: str) -> None:
    assert public_suffix.is_public_suffix(name)
    assert not public_suffix.is_public_suffix(f"a.{name}")
