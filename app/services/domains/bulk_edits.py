"""Changes of many domains at once, which can be undone, and deletion of several."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from app.db import bulk, transactions
from app.db.transactions import transaction
from app.errors import Conflict, InvalidRequest, NotFound
from app.models import Domain
from app.services.audit import audit_log
from app.services.core import domain_lookup
from app.services.domains import domains

MAX_DOMAINS = 5_000  # in one change
MAX_DELETED = 50  # in one request: the history of each is deleted
MAX_TAGS = 20  # of a domain


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of a domain that a bulk change may change."""

    tags: tuple[str, ...]
    schedule: str


@dataclass(frozen=True, slots=True)
class UndoStep:
    """How to undo the change of one domain: its settings before the change, and after it."""

    domain: str
    before: Settings
    after: Settings


@dataclass(frozen=True, slots=True)
class Deleted:
    """The names of the deleted domains, and why others were not deleted."""

    names: Sequence[str]
    errors: Sequence[str]


def add_tag(account_id: UUID, names: Sequence[str], tag: str, *, actor: str) -> Sequence[UndoStep]:
    """Add the tag to the domains; one that has MAX_TAGS stays unchanged."""

    def change(settings: Settings) -> Settings:
        if tag in settings.tags or len(settings.tags) >= MAX_TAGS:
            return settings
        return Settings((*settings.tags, tag), settings.schedule)

    return _change(account_id, names, change, actor)


def remove_tag(
    account_id: UUID, names: Sequence[str], tag: str, *, actor: str
) -> Sequence[UndoStep]:
    """Remove the tag from the domains."""
    return _change(account_id, names, lambda settings: _replaced(settings, tag, None), actor)


def set_schedule(
    account_id: UUID, names: Sequence[str], schedule: str, *, actor: str
) -> Sequence[UndoStep]:
    """Set the schedule of the domains' scans."""
    return _change(account_id, names, lambda settings: Settings(settings.tags, schedule), actor)


def rename_tag(account_id: UUID, old: str, new: str | None, *, actor: str) -> Sequence[UndoStep]:
    """Rename the tag of all domains that have it; None removes the tag.

    A domain that already has the new tag has it once afterwards.

    raises  InvalidRequest if more than MAX_DOMAINS domains have the tag
    """
    with transaction(readonly=True) as session:
        statement = select(Domain.name).where(Domain.account_id == account_id)
        statement = domain_lookup.with_tag(statement, old)
        names = session.scalars(statement.limit(MAX_DOMAINS + 1)).all()
    return _change(account_id, names, lambda settings: _replaced(settings, old, new), actor)


def undo(account_id: UUID, steps: Sequence[UndoStep], *, actor: str) -> int:
    """Restore the settings before a change, and return how many domains were restored.

    A domain stays unchanged if its settings are not those that the change gave it.
    """
    by_name = {step.domain: step for step in steps}
    with transaction() as session:
        count = 0
        for row in _locked(session, account_id, list(by_name)):
            step = by_name[row.name]
            if _settings(row) == step.after:
                _write(session, row, step.before, actor)
                count += 1
        return count


def delete(account_id: UUID, names: Iterable[str], *, actor: str) -> Deleted:
    """Delete the domains with all their data, at most MAX_DELETED; each as ``domains.delete``.

    A domain that cannot be deleted does not stop the rest.
    """
    deleted, errors = [], []
    for name in list(names)[:MAX_DELETED]:
        try:
            domains.delete(account_id, name, actor=actor)
            deleted.append(name)
        except (Conflict, NotFound) as error:
            errors.append(error.message)
    return Deleted(deleted, errors)


def _change(
    account_id: UUID, names: Sequence[str], change: Callable[[Settings], Settings], actor: str
) -> Sequence[UndoStep]:
    if len(names) > MAX_DOMAINS:
        raise InvalidRequest.field("domains", f"select at most {MAX_DOMAINS} domains", "length")
    steps = []
    with transaction() as session:
        for row in _locked(session, account_id, names):
            before = _settings(row)
            after = change(before)
            if after != before:
                _write(session, row, after, actor)
                steps.append(UndoStep(row.name, before, after))
    return steps


def _locked(session: Session, account_id: UUID, names: Sequence[str]) -> Sequence[Domain]:
    """The domains with these names; their rows are locked in the order of their ids."""
    domain_ids: list[UUID] = []
    for part in bulk.batched(set(names)):
        statement = select(Domain.id).where(Domain.account_id == account_id, Domain.name.in_(part))
        domain_ids += session.scalars(statement)
    statement_of_rows = select(Domain).order_by(Domain.id).with_for_update()
    rows: list[Domain] = []
    for part_ids in bulk.batched(sorted(domain_ids)):
        rows += session.scalars(statement_of_rows.where(Domain.id.in_(part_ids)))
    return rows


def _settings(row: Domain) -> Settings:
    return Settings(tuple(row.tags), row.schedule)


def _write(session: Session, row: Domain, settings: Settings, actor: str) -> None:
    before = {"tags": list(row.tags), "schedule": row.schedule}
    after = {"tags": list(settings.tags), "schedule": settings.schedule}
    changed = [name for name in before if before[name] != after[name]]
    row.updated_at = transactions.now(session)
    row.tags = list(settings.tags)
    if row.schedule != settings.schedule:
        row.schedule = settings.schedule
        row.reschedule(row.updated_at)
    audit_log.record(
        session,
        row.account_id,
        actor=actor,
        action="domain.changed",
        target=row.name,
        before={name: before[name] for name in changed},
        after={name: after[name] for name in changed},
    )


def _replaced(settings: Settings, old: str, new: str | None) -> Settings:
    tags = [new if tag == old else tag for tag in settings.tags]
    return Settings(tuple(dict.fromkeys(tag for tag in tags if tag is not None)), settings.schedule)
