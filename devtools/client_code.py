"""Writes the generated modules of the Python client: ``python -m devtools.client_code``.

They come from the OpenAPI document: a TypedDict for each object, and a method for each operation
that needs an API key. A test compares the modules with the document.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from app import create_app
from app.api.docs import openapi
from app.settings import Settings
from devtools import ROOT, client_methods, client_models

FOLDER = ROOT / "clients" / "python" / "src" / "mailwatch" / "generated"


def modules(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the text of each module by the name of its file."""
    operations = client_methods.operations(document)
    texts = {
        "__init__.py": '"""What is generated from the OpenAPI document."""\n',
        "models.py": client_models.module(document, [operation.spec for operation in operations]),
        "resources.py": client_methods.module(operations, is_async=False),
        "async_resources.py": client_methods.module(operations, is_async=True),
    }
    return {name: _formatted(text) for name, text in texts.items()}


def _formatted(text: str) -> str:
    ruff = str(Path(sys.executable).parent / "ruff")
    for command in (["check", "--quiet", "--fix-only"], ["format"]):
        name = ["--stdin-filename", str(FOLDER / "module.py")]
        result = subprocess.run(
            [ruff, *command, *name, "-"],
            input=text,
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
        text = result.stdout
    return text


def main() -> int:
    """Write the modules."""
    settings = Settings(
        secret_key="x" * 40, database_url="sqlite://", redis_url="redis://127.0.0.1:1/0"
    )
    FOLDER.mkdir(exist_ok=True)
    for name, text in modules(openapi.document(create_app(settings))).items():
        (FOLDER / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
