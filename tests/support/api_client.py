"""A client of the API that compares every response with the OpenAPI document."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import jsonschema
from flask import Flask
from werkzeug.test import TestResponse

from app import settings
from app.api.docs import openapi, reference
from app.models.keys import Scope
from app.services.api_keys import api_keys
from tests.support.factories import ACTOR

ALL = tuple(Scope)
_documents: dict[str, dict[str, Any]] = {}  # by base URL: all applications have the same routes


@dataclass
class Client:
    """A client with a key of one account."""

    app: Flask
    account_id: UUID
    token: str
    document: dict[str, Any] = field(repr=False)

    def __call__(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        response = self.app.test_client().open(path, method=method, headers=headers, **options)
        self._check(method, path.partition("?")[0], response)
        return response

    def data(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """Return ``data`` of a response that must have this status."""
        response = self(method, path, **options)
        assert response.status_code == status, response.text
        return response.json["data"] if response.data else None

    def _check(self, method: str, path: str, response: TestResponse) -> None:
        for name in ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"):
            assert response.headers[name].isdigit(), (method, path)
        assert response.status_code < 500 or response.status_code == 503
        operation = self._operation(method, path)
        if operation is None or not response.data:
            return
        responses = reference.resolved(operation, self.document)["responses"]
        documented = responses.get(str(response.status_code))
        assert documented is not None, f"{response.status_code} is not documented for {path}"
        if response.mimetype != "application/json":
            assert response.mimetype in documented["content"], f"{path}: {response.mimetype}"
            return
        schema = documented["content"]["application/json"]["schema"]
        full = {**schema, "components": self.document["components"]}
        jsonschema.validate(response.json, full, cls=jsonschema.Draft202012Validator)

    def _operation(self, method: str, path: str) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = None
        for template, methods in self.document["paths"].items():
            pattern = re.sub(r"\\{[^}]+\\}|\{[^}]+\}", "[^/]+", template)
            if re.fullmatch(pattern, path) and method.lower() in methods:
                operation = methods[method.lower()]
                if "{" not in template:
                    return operation
        return operation


def make_client(app: Flask, account_id: UUID, scopes: Sequence[Scope] = ALL, **new: Any) -> Client:
    """A client with a fresh key of the account."""
    _, token = api_keys.issue(account_id, api_keys.NewKey("test", scopes, **new), actor=ACTOR)
    base_url = settings.current().base_url
    if base_url not in _documents:
        _documents[base_url] = openapi.document(app)
    return Client(app=app, account_id=account_id, token=token, document=_documents[base_url])
