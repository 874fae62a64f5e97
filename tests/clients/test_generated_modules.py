"""The generated modules of the Python client say what the OpenAPI document says."""

import inspect

from flask import Flask

import mailwatch
from app.api.docs import openapi
from devtools import client_code, client_methods
from mailwatch.generated import async_resources, resources

HINT = "run python -m devtools.client_code"


def test_generating_the_modules_again_changes_nothing(app: Flask) -> None:
    texts = client_code.modules(openapi.document(app))
    files = {path.name: path.read_text() for path in client_code.FOLDER.glob("*.py")}
    assert sorted(files) == sorted(texts), HINT
    assert [name for name, text in texts.items() if files[name] != text] == [], HINT


def test_every_operation_that_needs_a_key_has_a_method(app: Flask) -> None:
    document = openapi.document(app)
    operations = client_methods.operations(document)
    needing_a_key = [
        spec
        for path, item in document["paths"].items()
        for spec in item.values()
        if path.startswith("/v1/") and spec.get("security")
    ]
    assert len(operations) == len(needing_a_key) > 50
    with mailwatch.Client("http://127.0.0.1:1", "mp_x") as client:
        for operation in operations:
            resource = getattr(client, operation.resource)
            assert callable(getattr(resource, operation.method)), operation.path


def test_both_clients_have_the_same_methods() -> None:
    for name, kind in inspect.getmembers(resources, inspect.isclass):
        if kind.__module__ == resources.__name__:
            other = getattr(async_resources, f"Async{name}")
            methods = {method for method in vars(kind) if not method.startswith("_")}
            assert methods == {method for method in vars(other) if not method.startswith("_")}
            for method in methods:
                ours, theirs = (getattr(one, method) for one in (kind, other))
                assert [*inspect.signature(ours).parameters] == [
                    *inspect.signature(theirs).parameters
                ]
