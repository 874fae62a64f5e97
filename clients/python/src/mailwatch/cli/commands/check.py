"""``mailwatch check``: what is wrong with domains, for people and for CI systems."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from mailwatch.cli import local, output, session
from mailwatch.cli.exits import Exit, status
from mailwatch.cli.local import LocalOptions
from mailwatch.formats import junit, results, sarif
from mailwatch.formats.results import Results
from mailwatch.formats.severities import Threshold
from mailwatch.generated.models import Finding, Usage

Names = Annotated[list[str], typer.Argument(metavar="DOMAIN…", help="The domains.")]
FailOn = Annotated[
    Threshold | None, typer.Option(help="Exit with 1 for a finding as severe as this.")
]
Tolerant = Annotated[
    bool, typer.Option("--allow-undetermined", help="Exit with 0 if a lookup failed.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Sarif = Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0.")]
Junit = Annotated[bool, typer.Option("--junit", help="Print JUnit XML.")]
Output = Annotated[
    Path | None, typer.Option("--output", help="Write the JSON, SARIF or XML to this file.")
]
Local = Annotated[
    bool, typer.Option("--local", help="Check on this computer; needs mailwatch-checks.")
]
LocalUsage = Annotated[
    Usage | None, typer.Option(help="With --local: what the domains are used for.")
]
Selectors = Annotated[
    list[str] | None, typer.Option("--selector", help="With --local: a DKIM selector.")
]
Nameservers = Annotated[
    list[str] | None,
    typer.Option("--nameserver", help="With --local: a resolver to query, as address[:port]."),
]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    domains: Names,
    fail_on: FailOn = None,
    is_tolerant: Tolerant = False,
    is_json: Json = False,
    is_sarif: Sarif = False,
    is_junit: Junit = False,
    file: Output = None,
    is_local: Local = False,
    usage: LocalUsage = None,
    selectors: Selectors = None,
    nameservers: Nameservers = None,
) -> None:
    """Run all checks of domains, and show their findings.

    The service scans domains of the account. With --local, this computer checks any domain.
    """
    formats = [is_json, is_sarif, is_junit].count(True)
    if formats > 1 or (file and not formats):
        raise typer.BadParameter("choose one of --json, --sarif and --junit")
    if not is_local and (usage or selectors or nameservers):
        raise typer.BadParameter("--usage, --selector and --nameserver need --local")
    if is_local:
        options = LocalOptions(
            usage=usage or "sends-and-receives",
            selectors=selectors or (),
            nameservers=nameservers or (),
        )
        checked = [local.check(domain, options) for domain in domains]
    else:
        checked = _scanned(domains)
    text = ""
    if is_json:
        text = json.dumps(checked, indent=2)
    elif is_sarif:
        text = json.dumps(sarif.document(checked), indent=2)
    elif is_junit:
        text = junit.document(checked, fail_on or "low")
    _write(checked, text, file)
    raise typer.Exit(_status(checked, fail_on, is_tolerant=is_tolerant))


def _status(checked: Sequence[Results], fail_on: Threshold | None, *, is_tolerant: bool) -> Exit:
    severities = [item["severity"] for result in checked for item in results.findings(result)]
    is_undetermined = any(results.undetermined(result) for result in checked)
    return status(severities, fail_on, is_undetermined=is_undetermined and not is_tolerant)


def _write(checked: Sequence[Results], text: str, file: Path | None) -> None:
    """Print the text, or write it to the file and print the findings for people."""
    if file:
        file.write_text(text)
    elif text:
        typer.echo(text)
    if file or not text:
        for result in checked:
            _print(result)


def _scanned(domains: Sequence[str]) -> list[Results]:
    """Return the results of new scans of the service."""
    with session.connect() as client:
        started = [client.scans.trigger(domain) for domain in domains]
        scans = [client.wait_for_scan(scan) for scan in started]
    for scan in scans:
        if scan["checks"] is None:
            output.complain(
                f"The scan of {scan['domainName']} is {scan['status']}: {scan['error']}"
            )
            raise typer.Exit(Exit.UNDETERMINED)
    return [
        Results(
            domainName=scan["domainName"],
            score=scan["score"],
            checks=scan["checks"] or [],
            scanId=scan["id"],
        )
        for scan in scans
    ]


def _print(result: Results) -> None:
    score = result["score"]
    grade = ""
    if score and score["value"] is not None:
        grade = f": {score['value']}/100, grade {score['grade']}"
    output.say(f"{result['domainName']}{grade}")
    rows = [
        [check["check"], finding["severity"], finding["code"], _problem(finding)]
        for check in result["checks"]
        for finding in check["findings"]
        if finding["severity"] != "info"
    ]
    rows += [
        [check["check"], "undetermined", "", check["reason"] or ""]
        for check in results.undetermined(result)
    ]
    if rows:
        output.table(["Check", "Severity", "Code", "Finding"], rows)
    else:
        output.say("No problems found")


def _problem(finding: Finding) -> str:
    text = f"{finding['subject']}: {finding['summary']}"
    fix = finding["fix"]
    if fix is None:
        return text
    return f"{text}\n{fix['action']} {fix['name']} {fix['type']}: {fix['after'] or fix['before']}"
