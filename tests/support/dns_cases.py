"""The cases of tests/data/dns-cases: zones with the expected and forbidden results of a scan."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dns.rdata
import dns.zone
import yaml

from app.checks.engine.types import Subject, Usage
from app.ports.dns import Answer, LookupFailed, Rdata
from app.ports.http import Page
from app.protocols.names import DomainName
from tests.support.paths import DATA
from tests.support.zones import Failure, Zone, rdata_from_dnspython

FOLDER = DATA / "dns-cases"
SIGNED_PARENTS = (".", "test")


@dataclass(frozen=True)
class Case:
    """One folder of tests/data/dns-cases."""

    id: str
    expected: Mapping[str, Any]

    @property
    def subject(self) -> Subject:
        """The domain with its usage and selectors."""
        return Subject(
            DomainName(self.expected["domain"]),
            usage=Usage(self.expected.get("usage", "sends-and-receives")),
            dkim_selectors=tuple(self.expected.get("dkim_selectors", ())),
        )

    @property
    def records(self) -> Mapping[tuple[str, str], list[Rdata]]:
        """The records of the case and of the shared zones."""
        return _records(FOLDER / self.id)

    def zone(
        self,
        records: Mapping[tuple[str, str], list[Rdata]] | None = None,
        *,
        is_rotated: bool = False,
    ) -> "CaseZone":
        """The DNS and the web servers of the case.

        records     instead of those of the case
        is_rotated  whether the record sets are in another order
        """
        data = self.records if records is None else records
        if is_rotated:
            data = {key: values[1:] + values[:1] for key, values in data.items()}
        return CaseZone(data, self.expected)


class CaseZone(Zone):
    """A zone whose name server signs some zones and has the faults of the case."""

    def __init__(
        self, data: Mapping[tuple[str, str], list[Rdata]], expected: Mapping[str, Any]
    ) -> None:
        server = expected.get("server", {})
        records: dict[Any, Any] = dict(data)
        for question, failure in server.get("faults", {}).items():
            name, _, rdtype = question.partition(" ")
            if rdtype:
                records[name, rdtype] = Failure[failure]
            else:
                records |= {name: Failure[failure], f"*.{name}": Failure[failure]}
        super().__init__(records, _pages(expected.get("https_pages", {})))
        self._signed = tuple(server.get("signed_zones", ()))
        self._bogus = tuple(server.get("bogus_zones", ()))
        self._instead = dict(_instead(server.get("answers_instead", {})))

    async def resolve(self, name: str, rdtype: str, *, checking_disabled: bool = False) -> Answer:
        plain = name.lower().removesuffix(".")
        instead = self._instead.get((plain, rdtype), self._instead.get((plain, "*")))
        if isinstance(instead, str):  # an alias
            target = await super().resolve(instead, rdtype)
            return target._replace(name=name, aliases=(instead, *target.aliases))
        if instead is not None:
            return Answer(
                name=name,
                rdtype=rdtype,
                rcode="NOERROR" if instead else "NXDOMAIN",
                rdatas=tuple(instead),
            )
        if _is_below(plain, self._bogus) and not checking_disabled:
            raise LookupFailed(name, rdtype, "servfail")
        answer = await super().resolve(name, rdtype, checking_disabled=checking_disabled)
        zones = [plain, *answer.aliases]
        is_signed = all(_is_below(zone, self._signed) or zone in SIGNED_PARENTS for zone in zones)
        return answer._replace(authenticated=is_signed)


def _is_below(name: str, zones: tuple[str, ...]) -> bool:
    return any(name == zone or name.endswith(f".{zone}") for zone in zones)


@cache
def cases() -> tuple[Case, ...]:
    """All cases, in the order of their ids."""
    folders = sorted(path.parent for path in FOLDER.glob("*/expected.yaml"))
    return tuple(
        Case(folder.name, yaml.safe_load((folder / "expected.yaml").read_text()))
        for folder in folders
    )


def _records(folder: Path) -> dict[tuple[str, str], list[Rdata]]:
    """The records of the case and of the shared zones."""
    data: dict[tuple[str, str], list[Rdata]] = {}
    for shared in sorted((FOLDER / "shared").glob("*.zone")):
        added = folder / f"{shared.name}.add"
        _read(data, shared, added.read_text() if added.exists() else "")
    for path in sorted(folder.glob("*.zone")):
        _read(data, path)
    for path in sorted(folder.glob("*.zone.add")):
        if not (FOLDER / "shared" / path.name.removesuffix(".add")).exists():
            _read(data, path)
    return data


def _read(data: dict[tuple[str, str], list[Rdata]], path: Path, added: str = "") -> None:
    origin = path.name.removesuffix(".add").removesuffix(".zone")
    text = f"$ORIGIN {origin}.\n{path.read_text()}\n{added}"
    zone = dns.zone.from_text(text, origin, relativize=False, check_origin=False)
    for name, _, rdata in zone.iterate_rdatas():
        key = (name.to_text(omit_final_dot=True).lower(), rdata.rdtype.name)
        values = data.setdefault(key, [])
        if (value := rdata_from_dnspython(rdata)) not in values:
            values.append(value)


def _pages(described: Mapping[str, Any]) -> dict[tuple[str, str], Page | Failure]:
    pages: dict[tuple[str, str], Page | Failure] = {}
    for url, page in described.items():
        parts = urlsplit(url)
        pages[str(parts.hostname), parts.path] = Page(
            url,
            status=page.get("status", 200),
            content_type=page.get("content_type", ""),
            body=page.get("body", "").encode(),
        )
    return pages


def _instead(described: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], Any]]:
    """The answers that replace those of the zones: a target, records, or no such name."""
    for question, answer in described.items():
        name, _, rdtype = question.partition(" ")
        key = (name.removesuffix("."), rdtype)
        if answer == "NXDOMAIN":
            yield key, ()
        elif isinstance(answer, str):
            yield key, answer.removeprefix("ALIAS ").removesuffix(".")
        else:
            yield key, tuple(map(_rdata_of, answer))


def _rdata_of(line: str) -> Rdata:
    _, _, _, rdtype, text = line.split(None, 4)
    return rdata_from_dnspython(dns.rdata.from_text("IN", rdtype, text))
