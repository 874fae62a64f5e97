"""``mailwatch plan``: what a draft zone makes better or worse."""

from pathlib import Path
from typing import Annotated

import typer

from mailwatch.cli import output, session
from mailwatch.cli.exits import Exit, status
from mailwatch.formats.severities import Threshold, reaches
from mailwatch.generated.models import Plan, PlanBody

YAML = (".yaml", ".yml")
SUFFIXES = (*YAML, ".zone", ".db", ".txt")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(plan)


def plan(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="ZONEFILE…", exists=True, dir_okay=False, help="Zone files."),
    ],
    domain: Annotated[
        str | None,
        typer.Option(help="The domain; by default the name of the file without its suffix."),
    ] = None,
    fail_on: Annotated[
        Threshold, typer.Option(help="Exit with 1 if a finding as severe as this gets worse.")
    ] = "low",
    is_tolerant: Annotated[
        bool, typer.Option("--allow-undetermined", help="Exit with 0 if a lookup failed.")
    ] = False,
    is_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Compare draft zones with today's DNS, before you publish them.

    A file that ends in .yaml or .yml is a zone of octoDNS.
    """
    if domain and len(files) > 1:
        raise typer.BadParameter("--domain needs exactly one file")
    drafts = [(domain or _domain_of(file), _body(file)) for file in files]
    with session.connect() as client:
        plans = [client.plans.create(name, body) for name, body in drafts]
    if is_json:
        output.as_json(plans)
    else:
        for made in plans:
            _print(made)
    statuses = [_status(made, fail_on, is_tolerant=is_tolerant) for made in plans]
    raise typer.Exit(Exit.FINDINGS if Exit.FINDINGS in statuses else max(statuses))


def _domain_of(file: Path) -> str:
    name = file.name
    for suffix in SUFFIXES:
        name = name.removesuffix(suffix)
    return name.removeprefix("db.").removesuffix(".")


def _body(file: Path) -> PlanBody:
    try:
        text = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"{file} cannot be read: {error}") from None
    return {"octodns": text} if file.suffix in YAML else {"zoneFile": text}


def _status(made: Plan, fail_on: Threshold, *, is_tolerant: bool) -> Exit:
    """Return the status; a verdict that is worse without a worse finding counts as low."""
    severities = [made["worstSeverity"] or "low"] if made["effect"] == "worse" else []
    is_undetermined = any(check["effect"] == "undetermined" for check in made["checks"])
    return status(severities, fail_on, is_undetermined=is_undetermined and not is_tolerant)


def _print(made: Plan) -> None:
    severity = made["worstSeverity"]
    worst = f" ({severity})" if severity and made["effect"] == "worse" else ""
    output.say(f"{made['domainName']}: {made['effect']}{worst}")
    rows = [
        [
            finding["effect"],
            finding["severity"],
            finding["code"],
            f"{finding['subject']}: {finding['summary']}",
        ]
        for check in made["checks"]
        for finding in check["findings"]
        if finding["effect"] != "unchanged" and reaches(finding["severity"], "low")
    ]
    rows += [
        ["undetermined", "", check["check"], check["reason"] or ""]
        for check in made["checks"]
        if check["effect"] == "undetermined"
    ]
    if rows:
        output.table(["Effect", "Severity", "Code", "Finding"], rows)
    email = made["email"]
    for loss in (email["spfLosses"] or []) if email else []:
        output.say(f"SPF would fail for {loss['name']}: {loss['messages']} messages of 30 days")
