"""No DNS record is proposed without the proof of fixes."""

import ast
import re
from pathlib import Path

import pytest

from tests.architecture.source_tree import module_of, sources, tree
from tests.support.paths import ROOT

# Modules outside the checks that create fixes, and the test that proves what they propose. The
# engine proves the fixes of the checks.
PROVEN = {
    "app.rules.scans.dns": "tests/unit/analysis/test_restored_policies.py",
    "app.rules.reports.stricter_policy": "tests/unit/analysis/test_policy_proposals.py",
    "app.rules.accounts.ownership": "tests/conformance/test_ownership_records.py",
}
CHECKS = "app.checks"
WRITERS = ("app.checks", "app.protocols", "app.analysis.policy.proposals")
RECORD = re.compile(r"v=(?:spf1[ ]|DMARC1;|TLSRPTv1;|STSv1;|BIMI1;|DKIM1;)|rua=\w")


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_fixes_are_created_only_where_they_are_proven(path: Path) -> None:
    module = module_of(path)
    if not module.startswith(CHECKS) and created_fixes(tree(path)):
        assert (ROOT / PROVEN[module]).exists()


@pytest.mark.parametrize("path", sources("app", "worker"), ids=module_of)
def test_records_are_written_only_where_they_are_proven(path: Path) -> None:
    if not module_of(path).startswith(WRITERS):
        assert written_records(tree(path)) == []


def test_templates_contain_no_record() -> None:
    templates = sorted((ROOT / "app" / "web" / "templates").rglob("*.html"))
    assert [path.name for path in templates if RECORD.search(path.read_text())] == []


def test_fixes_and_records_are_found_in_any_notation() -> None:
    module = ast.parse('Fix(name="a")\ntypes.Fix.publish_txt("a")\nfix._replace()')
    assert len(created_fixes(module)) == 2
    assert written_records(ast.parse('a = f"v=DMARC1; p={b}"\nb = "v=spf1 -all"\nc = "v=x"'))


def created_fixes(module: ast.Module) -> list[int]:
    """The lines that create a ``Fix`` of the engine, directly or by one of its class methods."""
    is_other_class = any(
        isinstance(node, ast.ClassDef) and node.name == "Fix" for node in ast.walk(module)
    )
    calls = [node for node in ast.walk(module) if isinstance(node, ast.Call)]
    names = [(call.lineno, ast.unparse(call.func).split(".")) for call in calls]
    return [line for line, parts in names if "Fix" in parts and not is_other_class]


def written_records(module: ast.Module) -> list[str]:
    """The strings with the beginning of a record, without docstrings."""
    docstrings = {
        ast.get_docstring(node, clean=False)
        for node in ast.walk(module)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return [
        node.value
        for node in ast.walk(module)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value not in docstrings
        and RECORD.search(node.value)
    ]
