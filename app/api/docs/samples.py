"""Samples of code for an operation: curl, Python and JavaScript."""

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from app.api.docs.examples import Example

LANGUAGES = ("curl", "Python", "JavaScript")
_TOKENS = {"key": "KEY", "uploadToken": "UPLOAD_TOKEN", "metricsToken": "METRICS_TOKEN"}


def samples(method: str, base: str, example: Example, scheme: str | None) -> Mapping[str, str]:
    """Return the code by language.

    base    the address of this service, such as ``https://watch.example``
    scheme  the security scheme of the operation; None without one
    """
    url = base + example["path"].replace("{token}", "REPORT_ADDRESS")
    token = _TOKENS[scheme] if scheme else None
    return {
        "curl": _curl(method, url, example, token),
        "Python": _python(method, url, example, token),
        "JavaScript": _javascript(method, url, example, token),
    }


def _curl(method: str, url: str, example: Example, token: str | None) -> str:
    parts = ["curl"]
    if (method != "GET" and "body" not in example) or method not in ("GET", "POST"):
        parts.append(f"-X {method}")
    if token:
        parts.append(f'-H "Authorization: Bearer ${token}"')
    parts += [f'-H "{name}: {value}"' for name, value in example.get("headers", {}).items()]
    if "body" in example:
        parts.append(f"--json {shlex.quote(_json(example['body'], None))}")
    if "file" in example:
        parts.append(f"--data-binary @{example['file']}")
    parts.append(shlex.quote(url))
    return " \\\n  ".join(parts)


def _python(method: str, url: str, example: Example, token: str | None) -> str:
    arguments = [_json(url, None)]
    if headers := dict(_headers(example, None)):
        texts = [f"{_json(name, None)}: {_json(value, None)}" for name, value in headers.items()]
    else:
        texts = []
    if token:
        texts.insert(0, f'"Authorization": f"Bearer {{os.environ[{token!r}]}}"')
    if texts:
        arguments.append(f"headers={{{', '.join(texts)}}}")
    if "body" in example:
        arguments.append(f"json={_python_value(example['body'])}")
    if "file" in example:
        arguments.append(f'content=open("{example["file"]}", "rb").read()')
    lines = [*(["import os", ""] if token else []), "import httpx", ""]
    call = ",\n    ".join(arguments)
    lines += [f"response = httpx.{method.lower()}(\n    {call},\n)", "response.raise_for_status()"]
    lines.append("print(response.text)")
    return "\n".join(lines)


def _javascript(method: str, url: str, example: Example, token: str | None) -> str:
    options = [] if method == "GET" else [f"method: {_json(method, None)}"]
    texts = [f"{_json(name, None)}: {_json(value, None)}" for name, value in _headers(example, 1)]
    if token:
        texts.insert(0, f"Authorization: `Bearer ${{process.env.{token}}}`")
    if texts:
        options.append(f"headers: {{ {', '.join(texts)} }}")
    if "body" in example:
        body = _json(example["body"], 2).replace("\n", "\n  ")
        options.append(f"body: JSON.stringify({body})")
    if "file" in example:
        options.append(f'body: await readFile("{example["file"]}")')
    lines = ['import { readFile } from "node:fs/promises";', ""] if "file" in example else []
    rest = f", {{\n  {(',' + chr(10) + '  ').join(options)},\n}}" if options else ""
    lines.append(f"const response = await fetch({_json(url, None)}{rest});")
    lines.append("if (!response.ok) throw new Error(await response.text());")
    lines.append("console.log(await response.text());")
    return "\n".join(lines)


def _headers(example: Example, with_type: int | None) -> Iterator[tuple[str, str]]:
    if with_type and "body" in example:
        yield "Content-Type", "application/json"
    yield from example.get("headers", {}).items()


def _json(value: Any, indent: int | None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _python_value(value: Any) -> str:
    """Return the JSON value as Python writes it, with double quotes."""
    if isinstance(value, dict):
        items = (f"{_json(name, None)}: {_python_value(item)}" for name, item in value.items())
        return f"{{{', '.join(items)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_python_value, value))}]"
    return repr(value) if value is None or isinstance(value, bool) else _json(value, None)
