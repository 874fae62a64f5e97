"""The ``flask domains`` commands: list domains, and put them on legal hold."""

import sys
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import click
from flask import Flask

from app import ids
from app.cli.base import ACCOUNT, JSON, OPERATOR, Commands, iso, print_json
from app.services.accounts import accounts
from app.services.domain_status import domain_list
from app.services.domain_status.domain_list import DomainFilter
from app.services.domains import domains

domains_group = Commands("domains", help="List domains, and manage their legal holds.")


def init_app(app: Flask) -> None:
    """Register the commands with ``flask``."""
    app.cli.add_command(domains_group)


@domains_group.command("list")
@ACCOUNT
@click.option("--tag", help="Only domains with this tag.")
@JSON
def list_domains(account: str, tag: str | None, as_json: bool) -> None:
    """List the domains of an account by name."""
    rows = list(_rows(accounts.find(account).id, DomainFilter(tag=tag, sort="name")))
    if as_json:
        print_json(
            [
                {
                    "id": ids.public("dom", row.id),
                    "name": row.name,
                    "tags": row.tags,
                    "score": row.score,
                    "grade": row.grade,
                    "lastScanAt": iso(row.last_scan_finished_at),
                    "createdAt": iso(row.created_at),
                }
                for row in rows
            ]
        )
        return
    for row in rows:
        scanned = row.last_scan_finished_at
        print(
            ids.public("dom", row.id),
            row.name,
            "no score" if row.score is None else f"{row.grade} {row.score}",
            f"scanned {scanned:%Y-%m-%d %H:%M}" if scanned else "not scanned",
            " ".join(row.tags),
            sep="  ",
        )


@domains_group.command("hold")
@ACCOUNT
@click.option("--reason", required=True)
@click.argument("domain")
def hold(account: str, reason: str, domain: str) -> None:
    """Put a domain on legal hold: none of its data is deleted."""
    row = domains.hold(accounts.find(account).id, domain, reason, actor=OPERATOR)
    print(f"{row.name} is on legal hold")


@domains_group.command("release")
@ACCOUNT
@click.argument("domain")
def release(account: str, domain: str) -> None:
    """Release the legal hold of a domain."""
    row = domains.release_hold(accounts.find(account).id, domain, actor=OPERATOR)
    print(f"{row.name} is not on legal hold")


def _rows(account_id: UUID, filters: DomainFilter) -> Iterator[Any]:
    """Read all domains in pages."""
    yield from domain_list.listing(account_id, filters).iterate(sys.maxsize)
