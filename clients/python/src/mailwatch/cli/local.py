"""Checks without a service, which the package ``mailwatch-checks`` runs on this computer."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import typer

from mailwatch.formats.results import Results
from mailwatch.generated.models import Usage

PACKAGE = "mailwatch_checks"
MISSING = (
    "--local needs the package mailwatch-checks: pip install 'mailwatch-client[local]',"
    " or ./clients/checks in a copy of the repository of mailwatch"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What a service would know about the domains.

    nameservers  the resolvers to query, ``address[:port]``; those of the computer by default
    """

    usage: Usage = "sends-and-receives"
    selectors: Sequence[str] = ()
    nameservers: Sequence[str] = ()


def check(domain: str, options: LocalOptions) -> Results:
    """Return the results of all checks.

    raises  typer.BadParameter if the domain or an option is not valid, or the package is missing
    """
    standalone = _standalone()
    try:
        results: Results = standalone.check(
            domain,
            usage=options.usage,
            dkim_selectors=options.selectors,
            nameservers=options.nameservers,
        )
    except ValueError as error:
        raise typer.BadParameter(f"{domain} cannot be checked: {error}") from None
    return results


def _standalone() -> Any:
    try:
        return importlib.import_module(f"{PACKAGE}.standalone")
    except ModuleNotFoundError as error:
        if error.name != PACKAGE:
            raise
        raise typer.BadParameter(MISSING) from None
