"""Export of an account as a ZIP file with one file of JSON lines for each table."""

import os
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID
from zipfile import ZIP_DEFLATED, ZipFile

import orjson
from sqlalchemy import ColumnElement, Table, select, tuple_

from app.db.transactions import transaction
from app.models import RawFile
from app.services.accounts import accounts
from app.services.audit import audit_log
from app.services.core import account_rows

BATCH_SIZE = 1_000
FILES_BATCH_SIZE = 20
# Credentials and secrets, which are never exported.
EXCLUDED_COLUMNS = frozenset(
    {
        *("users.password_hash", "users.totp_secret", "users.totp_step", "recovery_codes.digest"),
        *(
            "sessions.id",
            "invitations.digest",
            "api_keys.digest",
            "channels.secret_encrypted",
            "record_sinks.secret_encrypted",
        ),
        *("report_mailboxes.secrets_encrypted", "report_mailboxes.token_encrypted"),
        *("upload_tokens.digest", "password_resets.digest", "share_links.digest"),
        *("form_results.session_id", "form_results.text_encrypted"),
        *("form_drafts.id", "form_drafts.text_encrypted"),
    }
)
README = (
    "One file of JSON lines for every table; times are UTC, bytes are hexadecimal.\n"
    "raw_files/ has the report files as received, named by their SHA-256.\n"
    "Digests of passwords, keys and tokens, and encrypted secrets, are left out.\n"
)


def write(account: str, path: Path, *, actor: str) -> int:
    """Write the export of the account (given by name or id) to a new file.


    returns  the number of exported rows
    raises   NotFound; FileExistsError
    effects  only the owner of the file can read it; an entry in the audit log
    """
    with transaction() as session:
        row = accounts.named(session, account)
        audit_log.record(session, row.id, actor=actor, action="account.exported", target=row.name)
    count = 0
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, ZipFile(file, "w", ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        for table in account_rows.tables():
            condition = account_rows.owned_by(table, row.id)
            if condition is not None:
                count += _write_table(archive, table, condition)
        _write_files(archive, row.id)
    return count


def _write_table(archive: ZipFile, table: Table, condition: ColumnElement[bool]) -> int:
    columns = [
        column
        for column in table.columns
        if f"{table.name}.{column.name}" not in EXCLUDED_COLUMNS
        and (table.name, column.name) != ("raw_files", "content")
    ]
    count = 0
    with archive.open(f"{table.name}.ndjson", "w", force_zip64=True) as file:
        for rows in _pages(table, columns, condition):
            for row in rows:
                file.write(
                    orjson.dumps(dict(row), default=_as_json, option=orjson.OPT_APPEND_NEWLINE)
                )
            count += len(rows)
    return count


def _pages(table: Table, columns: list[Any], condition: ColumnElement[bool]) -> Iterator[list[Any]]:
    """Yield the rows in pages by primary key, each page in its own transaction."""
    keys = list(table.primary_key.columns)
    last: tuple[Any, ...] | None = None
    while True:
        page = select(*keys, *columns).where(condition).order_by(*keys).limit(BATCH_SIZE)
        if last is not None:
            page = page.where(tuple_(*keys) > tuple_(*last))
        with transaction(readonly=True) as session:
            rows = session.execute(page).all()
        if not rows:
            return
        last = tuple(rows[-1][: len(keys)])
        yield [
            {column.name: value for column, value in zip(columns, row[len(keys) :], strict=True)}
            for row in rows
        ]


def _write_files(archive: ZipFile, account_id: UUID) -> None:
    last = b""
    while True:
        with transaction(readonly=True) as session:
            files = session.execute(
                select(RawFile.sha256, RawFile.content)
                .where(RawFile.account_id == account_id, RawFile.sha256 > last)
                .order_by(RawFile.sha256)
                .limit(FILES_BATCH_SIZE)
            ).all()
        if not files:
            return
        for sha256, content in files:
            archive.writestr(f"raw_files/{sha256.hex()}", content)
        last = files[-1].sha256


def _as_json(value: object) -> object:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime | date | UUID):
        return str(value)
    raise TypeError(f"{type(value)} in an export")
