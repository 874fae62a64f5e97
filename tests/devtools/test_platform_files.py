"""The files for containers and platforms agree with the Procfile, the settings and the code.

No container is built or started here: that needs a container runtime.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings
from tests.support.paths import ROOT

KUBERNETES = ROOT / "deploy" / "kubernetes"
PROCESSES = dict(re.findall(r"^(\w+): (.+)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
SETTINGS = {name.upper() for name in Settings.model_fields}
KNOWN = SETTINGS | {f"{name}_FILE" for name in SETTINGS} | {"BIND", "PORT", "WEB_CONCURRENCY"}
REQUIRED = {name.upper() for name, field in Settings.model_fields.items() if field.is_required()}
DOCKERFILE = (ROOT / "Dockerfile").read_text()


def load(name: str) -> Any:
    return yaml.safe_load((ROOT / name).read_text())


COMPOSE = load("compose.yaml")["services"]
OURS = {name: service for name, service in COMPOSE.items() if service["image"] == "mailwatch"}
RENDER = load("render.yaml")
FLY = tomllib.loads((ROOT / "fly.toml").read_text())
HEROKU = json.loads((ROOT / "app.json").read_text())


def documents() -> Iterator[Any]:
    """Yield the objects of the base for kustomize."""
    for name in load("deploy/kubernetes/kustomization.yaml")["resources"]:
        yield from yaml.safe_load_all((KUBERNETES / name).read_text())


PODS = {
    document["metadata"]["name"].removeprefix("mailwatch-"): document["spec"]["template"]["spec"]
    for document in documents()
    if document["kind"] == "Deployment"
}
CONTAINERS = {
    container["name"]: container
    for pod in PODS.values()
    for container in (*pod["containers"], *pod.get("initContainers", ()))
}


def render_commands() -> dict[str, str]:
    services = [service for service in RENDER["services"] if "dockerCommand" in service]
    commands = {service["name"]: service["dockerCommand"] for service in services}
    [release] = [s["preDeployCommand"] for s in services if "preDeployCommand" in s]
    return {"release": release} | {
        name.removeprefix("mailwatch-"): command for name, command in commands.items()
    }


COMMANDS: Mapping[str, Mapping[str, str]] = {
    "compose.yaml": {name: service["command"] for name, service in OURS.items()},
    "deploy/kubernetes": {name: " ".join(it["args"]) for name, it in CONTAINERS.items()},
    "render.yaml": render_commands(),
    "fly.toml": {**FLY["processes"], "release": FLY["deploy"]["release_command"]},
}


def literals() -> dict[str, str]:
    [generator] = load("deploy/kubernetes/kustomization.yaml")["configMapGenerator"]
    return dict(literal.split("=", 1) for literal in generator["literals"])


def render_variables() -> set[str]:
    [web] = [service for service in RENDER["services"] if service["type"] == "web"]
    [group] = RENDER["envVarGroups"]
    return {it["key"] for it in (*web["envVars"], *group["envVars"]) if "key" in it}


VARIABLES: Mapping[str, set[str]] = {
    "compose.yaml": set(OURS["web"]["environment"]),
    "deploy/kubernetes": set(literals()),
    "render.yaml": render_variables(),
    # The platforms set these two, or the comment of the file names the command that does.
    "fly.toml": set(FLY["env"]) | set(re.findall(r"([A-Z_]+)=…", (ROOT / "fly.toml").read_text())),
    "app.json": set(HEROKU["env"]) | {"DATABASE_URL", "REDIS_URL"},
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_process_has_the_command_of_the_procfile(name: str) -> None:
    assert COMMANDS[name] == PROCESSES


def test_heroku_starts_every_process_but_the_release() -> None:
    assert set(HEROKU["formation"]) == set(PROCESSES) - {"release"}


@pytest.mark.parametrize("name", VARIABLES)
def test_only_settings_that_exist_are_named(name: str) -> None:
    assert VARIABLES[name] <= KNOWN


@pytest.mark.parametrize("name", VARIABLES)
def test_all_required_settings_and_the_address_are_named(name: str) -> None:
    named = {variable.removesuffix("_FILE") for variable in VARIABLES[name]}
    assert named >= REQUIRED | {"BASE_URL", "TRUSTED_PROXIES"}


@pytest.mark.parametrize("name", OURS)
def test_composed_container_cannot_write_and_has_no_privileges(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["tmpfs"] == ["/tmp"]
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


@pytest.mark.parametrize("name", sorted(OURS.keys() - {"release"}))
def test_composed_process_starts_after_the_migrations(name: str) -> None:
    condition = OURS[name]["depends_on"]["release"]["condition"]
    assert condition == "service_completed_successfully"


@pytest.mark.parametrize("name", CONTAINERS)
def test_container_of_kubernetes_cannot_write_and_has_no_privileges(name: str) -> None:
    context = CONTAINERS[name]["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("name", PODS)
def test_pod_runs_as_the_user_of_the_image(name: str) -> None:
    context = PODS[name]["securityContext"]
    assert context["runAsNonRoot"] is True
    assert f"USER {context['runAsUser']}:{context['runAsGroup']}\n" in DOCKERFILE


def test_there_is_one_clock_at_a_time() -> None:
    [clock] = [it for it in documents() if it["metadata"]["name"] == "mailwatch-clock"]
    assert (clock["spec"]["replicas"], clock["spec"]["strategy"]) == (1, {"type": "Recreate"})


def test_mounted_secrets_are_in_the_folder_of_the_volume() -> None:
    paths = [path for name, path in literals().items() if name.endswith("_FILE")]
    mounts = {m["mountPath"] for it in CONTAINERS.values() for m in it["volumeMounts"]}
    assert {str(Path(path).parent) for path in paths} <= mounts


def test_health_checks_request_the_routes_of_health() -> None:
    web = CONTAINERS["web"]
    assert web["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert web["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert [check["path"] for check in FLY["http_service"]["checks"]] == ["/healthz"]
    assert "/healthz" in DOCKERFILE.partition("HEALTHCHECK")[2]


def test_kustomize_accepts_the_base() -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed: it builds the base where it is")
    result = subprocess.run([kubectl, "kustomize", str(KUBERNETES)], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(list(yaml.safe_load_all(result.stdout))) == 5


def test_image_runs_gunicorn_without_root_on_the_tested_python() -> None:
    [command] = re.findall(r"^CMD (\[.+\])$", DOCKERFILE, re.MULTILINE)
    assert " ".join(json.loads(command)) == PROCESSES["web"]
    assert len(re.findall(r"^FROM ", DOCKERFILE, re.MULTILINE)) == 2
    version = (ROOT / ".python-version").read_text().strip()
    assert set(re.findall(r"^FROM python:([\d.]+)-", DOCKERFILE, re.MULTILINE)) == {version}


def allowed_by_dockerignore() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line.removeprefix("!") for line in lines if line.startswith("!")]


READ_DOCS = """
import wsgi
for path in ("/docs", "/docs/alerts", "/openapi.json"):
    assert wsgi.app.test_client().get(path).status_code == 200, path
"""


@pytest.mark.parametrize(
    "arguments",
    [
        "alembic upgrade head",
        "flask --app wsgi --help",
        "python -c 'import worker.jobs'",
        f"python -c '{READ_DOCS}'",
    ],
)
def test_image_has_every_file_that_the_processes_need(arguments: str, tmp_path: Path) -> None:
    image = tmp_path / "image"
    image.mkdir()
    for name in allowed_by_dockerignore():
        source = ROOT / name
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, image / name)
    program, *rest = shlex.split(arguments)
    python = Path(sys.executable)
    environment = {
        "PATH": os.environ["PATH"],
        "SECRET_KEY": "k" * 40,
        "DATABASE_URL": f"sqlite:///{tmp_path / 'image.db'}",
        "REDIS_URL": "redis://127.0.0.1:1/0",
    }
    command = [str(python.parent / program), *rest]
    result = subprocess.run(command, cwd=image, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
