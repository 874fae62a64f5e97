"""The SPF test vectors in tests/data/spf, each evaluated as a receiver does (RFC 7208)."""

import ipaddress
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.checks.spf import evaluate
from tests.support.paths import DATA
from tests.support.zones import TIMEOUT, Zone

FOLDER = DATA / "spf"


def suite() -> Iterator[Any]:
    """The tests of the openspf.org suite, each with the zone of its section."""
    text = (FOLDER / "rfc7208-tests.yml").read_text()
    for section in yaml.safe_load_all(text):
        zone = zone_of(section["zonedata"])
        for name, vector in section["tests"].items():
            yield pytest.param(zone, vector, id=f"{section['description']}: {name}")


def zone_of(zonedata: dict[str, list[Any]]) -> dict[Any, Any]:
    """The section's records for ``Zone``; type SPF is used as TXT where there is no TXT."""
    data: dict[Any, Any] = {}
    for name, entries in zonedata.items():
        name = name.lower()
        if "TIMEOUT" in entries:
            data[name] = TIMEOUT
            continue
        records = [next(iter(entry.items())) for entry in entries]
        has_txt = any(rdtype == "TXT" for rdtype, _ in records)
        for rdtype, value in records:
            if rdtype == "SPF":
                data.setdefault((name, "SPF"), []).append(joined(value))
                rdtype = "TXT" if not has_txt else "SPF"
            if rdtype != "SPF":
                data.setdefault((name, rdtype), []).append(rdata(rdtype, value))
    return data


def rdata(rdtype: str, value: Any) -> str:
    if rdtype == "TXT":
        return joined(value)
    if rdtype == "MX":
        return f"{value[0]} {value[1] or '.'}"
    return str(value)


def joined(value: str | list[str]) -> str:
    """The joined strings of one record as DNS returns them: one octet for each character."""
    text = value if isinstance(value, str) else "".join(value)
    return text.encode("latin-1").decode("utf-8", "backslashreplace")


@pytest.mark.parametrize(("zone", "vector"), list(suite()))
async def test_openspf_suite(zone: dict[Any, Any], vector: dict[str, Any]) -> None:
    evaluation = await evaluate.evaluate(
        Zone(zone), ip=vector["host"], mail_from=vector["mailfrom"], helo=vector["helo"]
    )
    expected = vector["result"]
    assert evaluation.result in (expected if isinstance(expected, list) else [expected]), evaluation
    if "explanation" in vector:
        assert (evaluation.explanation or "DEFAULT") == vector["explanation"]


ENTRY = re.compile(r"^\s*(?:- )?\s*(\w+):\s*(.*?)\s*$")


def simple(path: Path) -> Iterator[Any]:
    """The tests of one file in the simple format, where a key applies until its next line."""
    for index, document in enumerate(re.split(r"^---$", path.read_text(), flags=re.MULTILINE)):
        data: dict[Any, Any] = {}
        held = {"sender": "", "domain": "", "ip": ""}
        for line in document.splitlines():
            if line.lstrip().startswith("#") or not (entry := ENTRY.match(line)):
                continue
            key, value = entry.groups()
            if key in RECORDS and value:
                record(data, key, *value.split(" ", 1))
            elif key == "expect":
                yield pytest.param(dict(data), dict(held), value, id=f"{path.stem} {index} {held}")
            elif key in held:
                held[key] = value


RECORDS = ("spf", "exp", "a", "mx", "ptr")


def record(data: dict[Any, Any], key: str, name: str, value: str = "") -> None:
    """Add one line of ``records``; MX hosts are listed by their addresses."""
    name = name.lower()
    match key:
        case "spf" | "exp":
            data[(name, "TXT")] = [value]
        case "a":
            data[(name, "A")] = re.split(r",\s*", value)
        case "mx":
            addresses = re.split(r",\s*", value)
            data[(name, "MX")] = [f"{n:02} h{n:02}.mx.{name}" for n in range(len(addresses))]
            data |= {(f"h{n:02}.mx.{name}", "A"): [ip] for n, ip in enumerate(addresses)}
        case "ptr":
            pointer = ipaddress.ip_address(name).reverse_pointer
            data[(pointer, "PTR")] = re.split(r",\s*", value)


# They expect fail. RFC 7208 §4.6 requires permerror for a bad term after all, too, and so does the
# suite above ("detect-errors-anywhere").
BAD_TERM_BEHIND_ALL = "v=spf1 -all ip:10.0.0.1"
PATIENT = evaluate.Receiver(max_void_lookups=10)  # these vectors do not count void lookups


@pytest.mark.parametrize(
    ("zone", "vector", "expected"),
    [test for path in sorted(FOLDER.glob("mailauth-*.yml")) for test in simple(path)],
)
async def test_mailauth_vectors(
    zone: dict[Any, Any], vector: dict[str, str], expected: str
) -> None:
    dns = Zone({**zone, "_dns_error.org": TIMEOUT, "_dns_error.test.org": TIMEOUT})
    for sender in ("", vector["sender"]):  # §2.3: HELO is checked first, and a fail is enough
        evaluation = await evaluate.evaluate(
            dns, ip=vector["ip"], mail_from=sender, helo=vector["domain"], receiver=PATIENT
        )
        if evaluation.result == "fail":
            break
    if zone.get((vector["domain"], "TXT")) == [BAD_TERM_BEHIND_ALL]:
        expected = "permerror"
    result, _, explanation = expected.partition(" ")
    assert evaluation.result == result, evaluation
    assert not explanation or evaluation.explanation == explanation
