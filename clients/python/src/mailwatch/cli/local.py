"""Checks without a service, which the package ``mailwatch-checks`` runs."""

import importlib
from dataclasses import dataclass
from typing import Any

from mailwatch.errors import MailwatchError
from mailwatch.formats.results import Results
from mailwatch.generated.models import Usage

PACKAGE = "mailwatch_checks"


class ChecksMissing(Exception):
    """The package is not installed."""


class ChecksFailed(MailwatchError):
    """A domain cannot be checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """What a service would know about the domain.

    resolvers  ``address[:port]``; those of the computer by default
    """

    usage: Usage
    selectors: tuple[str, ...] = ()
    resolvers: tuple[str, ...] = ()


def check(domain: str, options: LocalOptions) -> Results:
    """Return the results of all checks.

    raises  ChecksMissing, ChecksFailed
    """
    try:
        standalone: Any = importlib.import_module(f"{PACKAGE}.standalone")
    except ModuleNotFoundError as error:
        if error.name not in (PACKAGE, f"{PACKAGE}.standalone"):
            raise
        raise ChecksMissing("--local needs the package mailwatch-checks") from None
    try:
        checked: Results = standalone.check(
            domain,
            usage=options.usage,
            dkim_selectors=options.selectors,
            resolvers=options.resolvers,
        )
    except ValueError as error:
        raise ChecksFailed(f"{domain} cannot be checked: {error}") from None
    return checked
