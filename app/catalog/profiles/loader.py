"""Reads compliance profiles from TOML, and reports every error with file, profile and clause."""

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.catalog.profiles.types import Clause, FactCondition, Profile

FOLDER = Path(__file__).with_name("data")  # the built-in profiles
MAX_BYTES = 1_000_000
_ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+){0,9}")
_DATE = re.compile(r"[0-9]{4}(-[0-9]{2}(-[0-9]{2})?)?")
_PROFILE_FIELDS = frozenset(
    {
        *("id", "name", "description", "source", "source_date", "source_read", "note"),
        "clauses",
    }
)
_LISTS = ("usages", "fails_on", "explained_by", "unknown_on")
_CLAUSE_FIELDS = frozenset(
    {"id", "text", "source", "source_date", "facts", "remediation", "not_observable", *_LISTS}
)
_OPERATORS = ("one_of", "contains", "is_set", "any_with")


class InvalidProfiles(ValueError):
    """Profiles are invalid; the text has one line for each error."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """What clauses can refer to: finding codes, the names of checks, and usages of domains."""

    codes: Collection[str]
    checks: Collection[str]
    usages: Collection[str]


def builtin(vocabulary: Vocabulary) -> tuple[Profile, ...]:
    """Return the profiles that come with the service, ordered by file name."""
    paths = sorted(FOLDER.glob("*.toml"))
    return tuple(profile for path in paths for profile in load(path, vocabulary))


def load(
    path: Path, vocabulary: Vocabulary, reserved_ids: Iterable[str] = ()
) -> tuple[Profile, ...]:
    """Return the profiles of a file.

    reserved_ids  the ids of other profiles, which the file must not use again
    raises        InvalidProfiles
    """
    reader = _Reader(path.name, vocabulary)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_BYTES + 1)
        if len(text) > MAX_BYTES:
            raise InvalidProfiles(f"{path.name}: the file exceeds {MAX_BYTES} bytes")
        document = tomllib.loads(text.decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidProfiles(f"{path.name}: {error}") from None
    profiles = reader.profiles(document, set(reserved_ids))
    if reader.errors:
        raise InvalidProfiles("\n".join(reader.errors))
    return profiles


@dataclass(slots=True)
class _Reader:
    """Reads the values of one file; ``errors`` collects what is wrong with them."""

    file: str
    vocabulary: Vocabulary
    errors: list[str] = field(default_factory=list)

    def profiles(self, document: Mapping[str, Any], ids: set[str]) -> tuple[Profile, ...]:
        items = self._tables(document, "profiles", self.file)
        self._check_fields(document, {"profiles"}, self.file)
        profiles = []
        for number, item in enumerate(items, 1):
            where = f"{self.file}: profile {item.get('id', number)}"
            profiles.append(self._profile(item, where))
            self._check_unique(profiles[-1].id, ids, where)
        return tuple(profiles)

    def _profile(self, item: Mapping[str, Any], where: str) -> Profile:
        self._check_fields(item, _PROFILE_FIELDS, where)
        source, source_date = self._source(item, where)
        ids: set[str] = set()
        clauses = []
        for number, table in enumerate(self._tables(item, "clauses", where), 1):
            of_clause = f"{where}: clause {table.get('id', number)}"
            clauses.append(self._clause(table, (source, source_date), of_clause))
            self._check_unique(clauses[-1].id, ids, of_clause)
        if not any(clause.is_observable for clause in clauses):
            self._add(where, "clauses", "at least one must be observable")
        return Profile(
            id=self._id(item, where),
            name=self._text(item, "name", where),
            description=self._text(item, "description", where),
            source=source,
            source_date=source_date,
            clauses=clauses,
            source_read=self._date(item, "source_read", where),
            note=self._text(item, "note", where) if "note" in item else None,
        )

    def _clause(
        self, item: Mapping[str, Any], default: tuple[str, str | None], where: str
    ) -> Clause:
        self._check_fields(item, _CLAUSE_FIELDS, where)
        source, source_date = self._source(item, where) if "source" in item else default
        reason = self._text(item, "not_observable", where) if "not_observable" in item else None
        lists = {name: self._list(item, name, where) for name in _LISTS}
        facts = tuple(self._fact(table, where) for table in item.get("facts", ()))
        is_decidable = bool(facts or lists["fails_on"])
        if is_decidable == (reason is not None):
            message = "needs either facts or fails_on, or the reason in not_observable"
            self.errors.append(f"{where}: {message}")
        return Clause(
            id=self._id(item, where),
            text=self._text(item, "text", where),
            source=source,
            source_date=source_date,
            facts=facts,
            remediation=None if reason else self._text(item, "remediation", where),
            unobservable_reason=reason,
            **lists,
        )

    def _fact(self, item: Any, where: str) -> FactCondition:
        if not isinstance(item, Mapping):
            self._add(where, "facts", "must be a list of tables")
            return FactCondition(check="", fact="")
        self._check_fields(item, {"fact", *_OPERATORS}, where)
        check, _, fact = self._text(item, "fact", where).partition(".")
        if check not in self.vocabulary.checks or not fact:
            self._add(where, "fact", f"no check has the fact {item.get('fact')!r}")
        if sum(name in item for name in _OPERATORS) != 1:
            self._add(where, "facts", f"{check}.{fact} needs one of {', '.join(_OPERATORS)}")
        return FactCondition(
            check=check,
            fact=fact,
            one_of=self._values(item.get("one_of", []), "one_of", where),
            contains=self._text(item, "contains", where) if "contains" in item else None,
            is_set=item.get("is_set") is True,
            any_with=self._any_with(item, where),
        )

    def _any_with(
        self, item: Mapping[str, Any], where: str
    ) -> Mapping[str, tuple[Any, ...]] | None:
        table = item.get("any_with")
        if table is None:
            return None
        if not isinstance(table, Mapping) or not table:
            self._add(where, "any_with", "must be a table of lists")
            return None
        return {name: self._values(values, "any_with", where) for name, values in table.items()}

    def _values(self, values: Any, name: str, where: str) -> tuple[Any, ...]:
        if isinstance(values, list) and all(isinstance(item, str | int) for item in values):
            return tuple(values)
        self._add(where, name, "must be a list of texts, numbers or booleans")
        return ()

    def _list(self, item: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
        values = item.get(name, [])
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            self._add(where, name, "must be a list of texts")
            return ()
        known = self.vocabulary.usages if name == "usages" else self.vocabulary.codes
        for value in values:
            if value not in known:
                kind = "usage" if name == "usages" else "finding code"
                self._add(where, name, f"unknown {kind} {value!r}")
        return tuple(values)

    def _source(self, item: Mapping[str, Any], where: str) -> tuple[str, str | None]:
        source = self._text(item, "source", where)
        if source and not re.match(r"https?://", source):
            self._add(where, "source", "must be an http: or https: URL")
        return source, self._date(item, "source_date", where)

    def _date(self, item: Mapping[str, Any], name: str, where: str) -> str | None:
        if name not in item:
            return None
        date = self._text(item, name, where)
        if date and not _DATE.fullmatch(date):
            self._add(where, name, 'must be text like "2024", "2024-02" or "2024-02-01"')
        return date

    def _id(self, item: Mapping[str, Any], where: str) -> str:
        text = self._text(item, "id", where)
        if text and (not _ID.fullmatch(text) or len(text) > 50):
            self._add(where, "id", "must be up to 50 lower-case letters, digits and hyphens")
        return text

    def _text(self, item: Mapping[str, Any], name: str, where: str) -> str:
        value = item.get(name)
        if isinstance(value, str) and value.strip():
            return " ".join(value.split())
        self._add(where, name, "must be a text that is not empty")
        return ""

    def _tables(
        self, item: Mapping[str, Any], name: str, where: str
    ) -> Sequence[Mapping[str, Any]]:
        tables = item.get(name)
        if isinstance(tables, list) and tables and all(isinstance(t, dict) for t in tables):
            return tables
        self._add(where, name, f"must be a list of tables ([[{name}]]) that is not empty")
        return ()

    def _check_fields(self, item: Mapping[str, Any], fields: Collection[str], where: str) -> None:
        for name in sorted(item.keys() - fields):
            self._add(where, name, "unknown field")

    def _check_unique(self, id: str, ids: set[str], where: str) -> None:
        if id in ids:
            self._add(where, "id", "is used twice")
        ids.add(id)

    def _add(self, where: str, name: str, message: str) -> None:
        self.errors.append(f"{where}: {name}: {message}")
