"""``mailwatch domains``: the domains of the account."""

from typing import Annotated

import typer

from mailwatch.cli import output, session
from mailwatch.generated.models import NewDomainBody, Usage

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
group = typer.Typer(help="List, add and remove domains.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(group, name="domains")


@group.command("list")
def list_(
    tag: Annotated[str | None, typer.Option(help="Only domains with this tag.")] = None,
    q: Annotated[str | None, typer.Option("--name", help="A part of the name.")] = None,
    is_json: Json = False,
) -> None:
    """List the domains."""
    with session.connect() as client:
        domains = list(client.domains.list(tag=tag, q=q, sort="name", page_size=100))
    if is_json:
        output.as_json(domains)
        return
    output.table(
        ["Domain", "Grade", "Score", "Verification", "Tags"],
        (
            [
                domain["unicodeName"],
                domain["score"]["grade"],
                domain["score"]["value"],
                domain["verification"]["status"],
                ", ".join(domain["tags"]),
            ]
            for domain in domains
        ),
    )


@group.command()
def add(
    name: Annotated[str, typer.Argument(help="The name of the domain.")],
    tags: Annotated[list[str] | None, typer.Option("--tag", help="A tag; repeatable.")] = None,
    selectors: Annotated[
        list[str] | None, typer.Option("--selector", help="A DKIM selector; repeatable.")
    ] = None,
    usage: Annotated[Usage, typer.Option(help="What it is used for.")] = "sends-and-receives",
    is_json: Json = False,
) -> None:
    """Add a domain."""
    body: NewDomainBody = {
        "name": name,
        "usage": usage,
        "tags": tags or [],
        "dkimSelectors": selectors or [],
    }
    with session.connect() as client:
        domain = client.domains.create(body)
    if is_json:
        output.as_json(domain)
        return
    output.say(f"Added {domain['name']} ({domain['id']})")
    record = domain["verification"]["record"]
    if domain["verification"]["status"] != "verified" and record:
        output.say(f"To verify it, publish: {record['name']} {record['type']} {record['value']}")


@group.command()
def verify(name: Annotated[str, typer.Argument(help="A name or an id.")]) -> None:
    """Look for the record that verifies a domain."""
    with session.connect() as client:
        domain = client.domains.verify(name)
    output.say(f"{domain['name']}: {domain['verification']['status']}")


@group.command()
def remove(
    name: Annotated[str, typer.Argument(help="A name or an id.")],
    is_confirmed: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Delete a domain with its scans, alerts and history."""
    if not is_confirmed:
        typer.confirm(f"Delete {name} and all its data?", abort=True)
    with session.connect() as client:
        client.domains.delete(name)
    output.say(f"Deleted {name}")
