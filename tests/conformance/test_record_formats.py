"""Changes of records are read back by the tools for which they are written."""

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from typing import Any

import dns.rdata
import dns.zone
import hcl2
import pytest
import yaml
from hypothesis import HealthCheck, example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from octodns.record import Record  # type: ignore[import-untyped]  # it has no types
from octodns.zone import Zone  # type: ignore[import-untyped]  # it has no types

from app.protocols import record_formats
from app.protocols.record_formats import FormattedChange, RecordSetChange
from app.protocols.zone_files import master_files, octodns
from tests.support.update_server import UpdateServer

ZONE = "example.com"
NAME = f"x.{ZONE}"
KEY = "v=DKIM1; k=rsa; p=" + "A" * 400
VALUES: Mapping[str, Sequence[str]] = {
    "TXT": ["v=spf1 include:_spf.example.net -all", KEY, 'quoted "a; b" \\ ${c} %{d}', ""],
    "MX": ["10 mx.example.com.", "0 ."],
    "CNAME": ["target.example.net."],
    "NS": ["ns1.example.net.", "ns2.example.net."],
    "PTR": ["mail.example.com."],
    "CAA": ['0 issue "ca.example; accounturi=https://x/1"', '128 issuewild ";"'],
    "TLSA": ["3 1 1 " + "ab" * 32],
    "A": ["192.0.2.1"],
    "AAAA": ["2001:db8::1"],
}
CASES = [(rdtype, value) for rdtype, values in VALUES.items() for value in values]
# Any text of a TXT record, with the characters that some format gives a meaning.
TEXTS = st.text(max_size=700) | st.text(alphabet='ab "\\;$%{}()@\n\t\0\x7fü€', max_size=700)
HOSTILE = (
    '" "',
    '"',
    "\\",
    "\\;",
    "${x}",
    "$${x}",
    "%{x}",
    "a${",
    "a\nb",
    "\\xff",
    "é" * 200,
    " a ",
    ";",
)


def change(rdtype: str, *added: str, **fields: Any) -> RecordSetChange:
    values: dict[str, Any] = {"removed": (), "remaining": (), **fields}
    return RecordSetChange(name=NAME, type=rdtype, added=added, **{"zone": ZONE, **values})


def formats(rdtype: str, *added: str, **fields: Any) -> FormattedChange:
    return record_formats.formatted(change(rdtype, *added, **fields))


def rdata(rdtype: str, text: str) -> dns.rdata.Rdata:
    """The record that a value describes."""
    if rdtype != "TXT":
        return dns.rdata.from_text("IN", rdtype, text)
    data = text.encode()
    chunks = [data[at : at + 255] for at in range(0, len(data) or 1, 255)]
    return dns.rdata.from_text(
        "IN", "TXT", " ".join('"' + "".join(f"\\{o:03}" for o in chunk) + '"' for chunk in chunks)
    )


def meaning(record: dns.rdata.Rdata) -> Any:
    """The record, without the division of a TXT record into strings."""
    return b"".join(record.strings) if hasattr(record, "strings") else record


# Zone files


def read_zone(text: str | None) -> list[Any]:
    assert text is not None
    zone = dns.zone.from_text(text, origin=ZONE, relativize=False, check_origin=False)
    assert all(name.to_text() == f"{NAME}." for name, _, _ in zone.iterate_rdatas())
    assert all(ttl == 3600 for _, ttl, _ in zone.iterate_rdatas())
    return [meaning(item) for _, _, item in zone.iterate_rdatas()]


@pytest.mark.parametrize(("rdtype", "value"), CASES)
def test_zone_file_is_read_by_dnspython_and_by_plans(rdtype: str, value: str) -> None:
    text = formats(rdtype, value, removed=(value,)).zone_file
    assert read_zone(text) == [meaning(rdata(rdtype, value))]
    assert text is not None
    [record] = master_files.parse(text, ZONE)
    assert (record.name, record.type) == (NAME, rdtype)


@given(TEXTS)
@example("a" * 255)
@example("a" * 256)
def test_any_text_survives_a_zone_file(text: str) -> None:
    written = formats("TXT", text).zone_file
    assert read_zone(written) == [text.encode()]
    assert written is not None
    assert master_files.parse(written, ZONE)[0].fields == (text,)


# octoDNS


def read_octodns(text: str | None) -> list[Any]:
    """The records as octoDNS validates them and hands them to its providers."""
    assert text is not None
    [(name, data)] = yaml.safe_load(text).items()
    record = Record.new(Zone(f"{ZONE}.", []), name, data)
    assert record.fqdn == f"{NAME}."
    values = record.values if hasattr(record, "values") else [record.value]
    return [
        meaning(dns.rdata.from_text("IN", record._type, value.to_rdata_text())) for value in values
    ]


@pytest.mark.parametrize(("rdtype", "value"), [case for case in CASES if case[1]])
def test_octodns_reads_its_yaml(rdtype: str, value: str) -> None:
    text = formats(rdtype, value).octodns
    assert read_octodns(text) == [meaning(rdata(rdtype, value))]
    assert text is not None
    assert {record.type for record in octodns.parse(text, ZONE)} == {rdtype}


@given(TEXTS)
@example('"quoted"')
@example('" x')
def test_any_text_survives_octodns_or_is_not_written(text: str) -> None:
    written = formats("TXT", text).octodns
    if not text.isascii() or "\\;" in text or '" "' in text:
        assert written is None
        return
    assert read_octodns(written) == [text.encode()]
    assert written is not None
    assert octodns.parse(written, ZONE)[0].fields == (text,)


def test_octodns_describes_the_whole_set() -> None:
    text = formats("TXT", "new", removed=("old",), remaining=("other", "third")).octodns
    assert read_octodns(text) == [b"new", b"other", b"third"]
    assert formats("TXT", "new", remaining=None).octodns is None
    assert formats("TXT", "new", zone=None).octodns is None
    assert yaml.safe_load(formats("TXT", removed=("old",)).octodns or "x") is None
    apex = RecordSetChange(
        zone=ZONE, name=ZONE, type="A", removed=(), added=("192.0.2.1",), remaining=()
    )
    assert list(yaml.safe_load(record_formats.formatted(apex).octodns or "")) == [""]


# Terraform


def hcl_text(literal: str) -> str:
    """The value of a string literal of HCL."""
    assert literal[0] == literal[-1] == '"'
    escapes = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
    pattern = r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})|\\(.)|(\$\$|%%)(?=\{)"

    def decoded(match: re.Match[str]) -> str:
        if code := match[1] or match[2]:
            return chr(int(code, 16))
        return match[4][0] if match[4] else escapes[match[3]]

    assert not re.search(r"(?<!\$)\$\{|(?<!%)%\{", literal), "an interpolation"
    return re.sub(pattern, decoded, literal[1:-1])


def resources(text: str | None, kind: str) -> list[dict[str, Any]]:
    assert text is not None
    blocks = hcl2.loads(f"{text}\n").get("resource", [])
    assert all(list(block) == [f'"{kind}"'] for block in blocks)
    labels = [label for block in blocks for label in block[f'"{kind}"']]
    assert len(set(labels)) == len(labels)
    return [arguments for block in blocks for arguments in block[f'"{kind}"'].values()]


def read_cloudflare(text: str | None) -> list[Any]:
    """The records that Cloudflare makes of the resources."""
    records = []
    for resource in resources(text, "cloudflare_dns_record"):
        rdtype = hcl_text(resource["type"])
        assert (hcl_text(resource["name"]), resource["ttl"]) == (NAME, 3600)
        if "data" in resource:
            fields = [
                field if isinstance(field, int) else hcl_text(field)
                for name, field in resource["data"].items()
                if not name.startswith("__")
            ]
            if rdtype == "CAA":
                value = str(fields[2]).replace("\\", "\\\\").replace('"', '\\"')
                fields[2] = f'"{value}"'
            data = " ".join(map(str, fields))
        else:
            content = hcl_text(resource["content"])
            is_host = rdtype in ("MX", "CNAME", "NS", "PTR")
            data = f"{content.removesuffix('.')}." if is_host else content
            if rdtype == "MX":
                data = f"{resource['priority']} {data}"
        records.append(meaning(dns.rdata.from_text("IN", rdtype, data)))
    return records


def read_route53(text: str | None) -> list[Any]:
    """The records that the provider and Route 53 make of the resource."""
    [resource] = resources(text, "aws_route53_record")
    rdtype = hcl_text(resource["type"])
    assert (hcl_text(resource["name"]), resource["ttl"]) == (NAME, 3600)
    values = [hcl_text(value) for value in resource["records"]]
    if rdtype != "TXT":
        return [dns.rdata.from_text("IN", rdtype, value) for value in values]
    return [b"".join(_octal_strings(f'"{value}"')) for value in values]


def _octal_strings(text: str) -> list[bytes]:
    """The quoted strings of a TXT record of Route 53, whose escapes are octal."""
    strings = re.findall(r'"((?:[^"\\]|\\.)*)"', text, re.DOTALL)
    assert '""'.join(strings) == text[1:-1]
    decoded = [
        re.sub(
            rb"\\([0-7]{3})|\\(.)",
            lambda match: bytes((int(match[1], 8),)) if match[1] else match[2],
            string.encode("ascii"),
            flags=re.DOTALL,
        )
        for string in strings
    ]
    assert all(len(string) <= 255 for string in decoded)
    return decoded


@pytest.mark.parametrize(("rdtype", "value"), CASES)
def test_terraform_resources_are_read(rdtype: str, value: str) -> None:
    text = formats(rdtype, value, removed=("old" if rdtype == "TXT" else value,))
    expected = [meaning(rdata(rdtype, value))]
    assert read_cloudflare(text.terraform_cloudflare) == expected
    assert read_route53(text.terraform_route53) == expected


@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TEXTS, min_size=1, max_size=3, unique=True))
@example(list(HOSTILE))
def test_any_text_survives_terraform(texts: list[str]) -> None:
    written = formats("TXT", *texts)
    assert read_cloudflare(written.terraform_cloudflare) == [text.encode() for text in texts]
    assert read_route53(written.terraform_route53) == [text.encode() for text in texts]


def test_terraform_describes_the_whole_set_only_for_route53() -> None:
    written = formats("TXT", "a", "b", removed=("old",), remaining=("other",))
    assert read_cloudflare(written.terraform_cloudflare) == [b"a", b"b"]
    assert read_route53(written.terraform_route53) == [b"other", b"a", b"b"]
    assert formats("TXT", "a", remaining=None).terraform_route53 is None
    gone = formats("TXT", removed=("old\nline",))
    for text in (gone.terraform_cloudflare, gone.terraform_route53, gone.zone_file):
        assert text is not None
        assert text.startswith(("#", ";"))
        assert "\n" not in text


# nsupdate

needs_nsupdate = pytest.mark.skipif(
    shutil.which("nsupdate") is None, reason="nsupdate (bind9-dnsutils) is not installed"
)


def update(server: UpdateServer, script: str | None) -> None:
    commands = f"server 127.0.0.1 {server.port}\n{script}\n"
    done = subprocess.run(["nsupdate"], input=commands, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_nsupdate
@pytest.mark.parametrize(("rdtype", "value"), CASES)
def test_nsupdate_adds_and_removes_records(rdtype: str, value: str) -> None:
    with UpdateServer(ZONE) as server:
        update(server, formats(rdtype, value).nsupdate)
        assert [meaning(record) for record in server.records(NAME, rdtype)] == [
            meaning(rdata(rdtype, value))
        ]
        update(server, formats(rdtype, removed=(value,)).nsupdate)
        assert server.records(NAME, rdtype) == []


@needs_nsupdate
def test_nsupdate_keeps_other_records_of_the_set() -> None:
    with UpdateServer(ZONE, f'{NAME}. 300 TXT "other"\n{NAME}. 300 TXT "old"\n') as server:
        update(server, formats("TXT", "new", removed=("old",), remaining=None).nsupdate)
        values = [meaning(record) for record in server.records(NAME, "TXT")]
        assert values == [b"new", b"other"]


@needs_nsupdate
@hypothesis_settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(TEXTS, min_size=1, max_size=20, unique=True))
@example(list(HOSTILE))
def test_any_text_survives_nsupdate(texts: list[str]) -> None:
    with UpdateServer(ZONE) as server:
        update(server, formats("TXT", *texts).nsupdate)
        records = [meaning(record) for record in server.records(NAME, "TXT")]
        assert sorted(records) == sorted(text.encode() for text in texts)
        update(server, formats("TXT", removed=tuple(t for t in texts if "\\x" not in t)).nsupdate)
        remaining = [meaning(record) for record in server.records(NAME, "TXT")]
        assert sorted(remaining) == sorted(t.encode() for t in texts if "\\x" in t)


def test_bytes_that_are_not_text_are_not_guessed() -> None:
    assert formats("TXT", "new", removed=("a\\xff",)) == FormattedChange()
