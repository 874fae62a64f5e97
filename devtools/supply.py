"""The package locks, and what is derived from them: an audit and a bill of materials.

People edit ``requirements*.in``; ``./dev lock`` compiles each into the ``.txt`` of the same name:
every package with its dependencies, for all platforms, with the hashes of the files.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from devtools import ROOT, CommandError, environment
from devtools.environment import DEMO, DEVELOPMENT, INSTALLER, LOCAL, say

RUN_TIME = "requirements.txt"
AUDIT, BENCH = "requirements-audit.txt", "requirements-bench.txt"
SUBSETS = (
    DEMO,
    LOCAL,
    RUN_TIME,
)  # of DEVELOPMENT, so that the tested versions are the deployed ones
LOCKS = (DEVELOPMENT, *SUBSETS, INSTALLER, AUDIT, BENCH)
AUDITED = (DEVELOPMENT, INSTALLER, AUDIT)
SBOM = ROOT / ".dev" / "sbom.cdx.json"
VULNERABLE, NOT_AUDITED = 1, 2  # exit statuses of ./dev audit
_VENDORED = ROOT / "app" / "web" / "static" / "vendor"
_LICENSES = {"htmx": "0BSD"}

Json = Mapping[str, Any]


def lock(arguments: Sequence[str]) -> int:
    """Compile every lock; ``--upgrade`` allows newer versions of packages without a pin.

    raises  CommandError if uv cannot be installed, or a requirement cannot be resolved
    """
    if unknown := set(arguments) - {"--upgrade"}:
        raise CommandError(f"./dev lock accepts only --upgrade, not {' '.join(sorted(unknown))}")
    uv = environment.installer()
    if uv is None:
        raise CommandError("uv could not be installed; is PyPI reachable?")
    for name in LOCKS:
        options = ["-c", DEVELOPMENT] if name in SUBSETS else []
        command = [str(uv), *_COMPILE, *environment.uv_options(), *arguments, *options]
        source = name.replace(".txt", ".in")
        status, output = _run([*command, source, "-o", name])
        if status:
            raise CommandError(f"{source} could not be compiled:\n{output}")
        say(f"compiled {name}")
    return 0


def audit(arguments: Sequence[str]) -> int:
    """Check the packages of the locks for known vulnerabilities.

    arguments  locks; AUDITED if there are none
    returns    0, VULNERABLE, or NOT_AUDITED if the database has no answer for a package
    """
    python = environment.prepare_separate(AUDIT)
    statuses: set[int] = set()
    for name in arguments or AUDITED:
        report, output = _audited(python, name)
        if report is None:
            say(f"{name} was not audited: the vulnerability database is unreachable")
            say(output.splitlines()[-1] if output else "pip-audit gave no reason")
            return NOT_AUDITED
        vulnerable, skipped = findings(report)
        for line in (*vulnerable, *skipped):
            say(f"{name}: {line}")
        count = len(report["dependencies"]) - len(skipped)
        say(f"{name}: {count} packages checked, {len(vulnerable)} vulnerabilities")
        statuses.add(VULNERABLE if vulnerable else NOT_AUDITED if skipped else 0)
    return next((status for status in (VULNERABLE, NOT_AUDITED) if status in statuses), 0)


def sbom(arguments: Sequence[str]) -> int:
    """Write a CycloneDX bill of materials of the runtime: packages, licenses, dependencies.

    arguments  the file to write; SBOM if there is none
    raises     CommandError if it cannot be created
    """
    if len(arguments) > 1:
        raise CommandError("./dev sbom takes one argument: the file to write")
    path = Path(arguments[0]) if arguments else SBOM
    python = environment.prepare_separate(RUN_TIME)
    command = [str(environment.prepare_separate(AUDIT)), "-m", "cyclonedx_py", "environment"]
    command += ["--pyproject", "pyproject.toml", "--mc-type", "application", "--sv", "1.6"]
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "sbom.json"
        status, output = _run([*command, "--of", "JSON", "-o", str(file), str(python)])
        if status:
            raise CommandError(f"the bill of materials could not be created:\n{output}")
        bom = completed(json.loads(file.read_text()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(bom, indent=2) + "\n")
    say(f"wrote {path}: {len(bom['components'])} components")
    return 0


_COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11"),
    *("--generate-hashes", "--no-config", "--no-emit-index-url"),
    *("--custom-compile-command", "./dev lock"),
)


def _audited(python: Path, name: str) -> tuple[Json | None, str]:
    """Return the report of pip-audit about a lock, None if there is none, and its output."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "report.json"
        command = [str(python), "-m", "pip_audit", "--require-hashes", "--disable-pip"]
        command += ["--progress-spinner", "off", "--format", "json", "--output", str(file)]
        _, output = _run([*command, "-r", name])
        try:
            return json.loads(file.read_text()), output
        except (OSError, ValueError):
            return None, output


def findings(report: Json) -> tuple[list[str], list[str]]:
    """Return a line for each vulnerability, and one for each package without an answer."""
    vulnerable, skipped = [], []
    for package in report["dependencies"]:
        if reason := package.get("skip_reason"):
            skipped.append(f"{package['name']} was not checked: {reason}")
        for vulnerability in package.get("vulns", ()):
            fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
            line = f"{package['name']} {package['version']}: {vulnerability['id']}"
            vulnerable.append(f"{line}; fixed in {fixed}")
    return vulnerable, skipped


def completed(bom: Json) -> Json:
    """Return the bill of materials with the dashboard's scripts and the direct dependencies."""
    components = [*bom["components"], *_scripts()]
    refs = {component["name"].lower(): component["bom-ref"] for component in components}
    required = [*_required("requirements.in"), *(script["name"] for script in _scripts())]
    root = bom["metadata"]["component"]["bom-ref"]
    direct = {"ref": root, "dependsOn": sorted(refs[name] for name in required)}
    others = [entry for entry in bom["dependencies"] if entry["ref"] != root]
    leaves = [{"ref": script["bom-ref"]} for script in _scripts()]
    return {**bom, "components": components, "dependencies": [direct, *others, *leaves]}


def _required(source: str) -> list[str]:
    lines = (ROOT / source).read_text().splitlines()
    return [re.split(r"[\[=]", line)[0] for line in lines if line[:1] not in ("#", "-", "")]


def _scripts() -> list[Json]:
    """Return the scripts that the dashboard serves and that are not part of a package."""
    components: list[Json] = []
    for line in (_VENDORED / "SHA256SUMS").read_text().splitlines():
        digest, file = line.split()
        if file.endswith(".min.js"):
            name, _, version = file.removesuffix(".min.js").rpartition("-")
            purl = f"pkg:npm/{name}@{version}"
            hashes = [{"alg": "SHA-256", "content": digest}]
            licenses = [{"license": {"id": _LICENSES[name]}}]
            component = {"type": "library", "bom-ref": purl, "name": name, "version": version}
            components.append({**component, "hashes": hashes, "licenses": licenses, "purl": purl})
    return components


def _run(command: Sequence[str]) -> tuple[int, str]:
    result = subprocess.run(
        command,
        cwd=ROOT,
        env=environment.variables(),
        text=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    return result.returncode, result.stdout.strip()
