"""The examples of ``docs/api`` are executed in order, and their responses compared.

The rule of comparison: status, named headers, keys and values must be equal, except that

- ``…`` within a string stands for any text, and ``"…"`` alone for any value;
- a list that ends in ``"…"``, and an object with the key ``"…"``, may continue;
- of ids only the prefix counts, of times only that they are times, of ``N seconds`` not the N,
  and of the numbers in VARYING only that they are numbers.

An HTML comment ``<!-- meanwhile: … -->`` names what happens before the next example (MEANWHILE).
"""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.routing import Rule

from app import ids
from app.api.http.endpoint import ENDPOINTS, EndpointSpec
from app.models.keys import Scope
from app.settings import Settings
from tests.support import api_scenario
from tests.support.api_scenario import (
    FENCE,
    FOLDER,
    ID,
    MEANWHILE,
    PAGES,
    ROUTE,
    TEXT,
    Example,
    Scenario,
    differences,
    plain,
    steps,
)
from tests.support.paths import ROOT


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The settings of a production service."""
    return api_scenario.production(settings)


@pytest.fixture
def scenario(app: Flask) -> Scenario:
    """The state before the first example."""
    return api_scenario.begin(app)


def test_every_example_gets_the_documented_response(scenario: Scenario) -> None:
    problems: list[str] = []
    for step in steps():
        if isinstance(step, str):
            MEANWHILE[step](scenario)
            continue
        response = scenario.call(step.command)
        documented = {"status": step.status, "headers": step.headers, "body": step.body}
        real = {
            "status": response.status_code,
            "headers": {name: response.headers.get(name) for name in step.headers},
            "body": response.json if response.is_json else None,
        }
        lines = differences(plain(documented), plain(real))
        problems += [f"{step.command.strip()}\n  {line}" for line in lines]
        scenario.remember_ids(response)
    assert not problems, "\n".join(problems)


TOURS = (ROOT / "README.md", *sorted((ROOT / "docs" / "quickstarts").glob("*.md")))


def commands_of(page: Path) -> Iterator[tuple[str, int]]:
    """The curl commands of a page, each with the status that its comment shows."""
    for block in re.findall(FENCE.format("sh"), page.read_text()):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("curl"):
                command, _, status = line.rpartition("  # ")
                yield command, int(status)


@pytest.mark.parametrize("page", TOURS, ids=lambda page: page.stem)
def test_tour_works(scenario: Scenario, page: Path) -> None:
    commands, failures = list(commands_of(page)), list[tuple[str, int]]()
    assert len(commands) == page.read_text().count("\ncurl ")
    for command, status in commands:
        response = scenario.call(command)
        scenario.remember_ids(response)
        scenario.run_queued_scans()
        failures += [(command, response.status_code)] if response.status_code != status else []
    assert failures == []


def test_every_example_is_executed() -> None:
    examples = [step for step in steps() if isinstance(step, Example)]
    assert len(examples) == TEXT.count("```sh\ncurl")
    assert sum(example.body is not None for example in examples) == TEXT.count("```json\n{")


def routes(app: Flask) -> dict[tuple[str, str], EndpointSpec]:
    """The specification of each method and path."""

    def path(rule: Rule) -> str:
        return rule.rule.replace("<", "{").replace(">", "}")

    return {
        (method, path(rule)): contract
        for rule in app.url_map.iter_rules()
        if (contract := ENDPOINTS.get(app.view_functions[rule.endpoint]))
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }


def scope_words(contract: EndpointSpec) -> str:
    """A view's scopes in the words of the page."""
    if contract.is_public:
        return "none (public)"
    return " or ".join(f"`{Scope(scope).value}`" for scope in contract.scopes) or "any key"


def test_page_documents_exactly_the_routes_and_scopes(app: Flask) -> None:
    documented = {(method, path): scope for method, path, scope in ROUTE.findall(TEXT)}
    assert documented == {route: scope_words(contract) for route, contract in routes(app).items()}


def test_the_index_lists_every_page_once() -> None:
    assert sorted(PAGES) == sorted(path.name for path in FOLDER.glob("*.md"))


COMMON = {"limit", "cursor", "format"}  # documented once, on the page of the conventions


def parameters(contract: EndpointSpec) -> set[str]:
    """The names of the query parameters and of the fields of the body."""
    models = [model for model in (contract.query, contract.body, contract.array) if model]
    return {
        name
        for model in models
        for name in model.model_json_schema(by_alias=True)["properties"]
        if name not in COMMON
    }


def documented(page: str, section: str) -> set[str]:
    """The first cells of the tables in a section, or in the introduction of its page."""
    tables = section + page.partition("\n### ")[0]
    cells = re.findall(r"^\| (`[^|]*`)(?: \(required\))? \|", tables, re.MULTILINE)
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_every_parameter_is_documented(app: Flask) -> None:
    missing = []
    for page in ((FOLDER / name).read_text() for name in PAGES):
        for section in re.split(r"^### ", page, flags=re.MULTILINE)[1:]:
            method, path = section.splitlines()[0].split()
            contract = routes(app)[method, path]
            names = parameters(contract) - documented(page, section)
            missing += [f"{method} {path}: {name}" for name in sorted(names)]
    assert not missing, "\n".join(missing)


def test_every_documented_route_has_an_example() -> None:
    sections = re.split(r"^#+ ", TEXT, flags=re.MULTILINE)
    routes = [section for section in sections if re.match(r"(GET|POST|PATCH|DELETE) /", section)]
    assert [section.splitlines()[0] for section in routes if "```sh\ncurl" not in section] == []


def test_generated_ids_match_the_documented_format() -> None:
    assert all(ID.fullmatch(ids.public(prefix, ids.new())) for prefix in ("dom", "scan", "acc"))
