"""The MCP endpoint: one message of the Model Context Protocol in each POST, without sessions."""

from typing import Any

import orjson
from flask import Blueprint, Response, g, request

from app.api.http import auth
from app.api.http.endpoint import JSON, endpoint
from app.api.mcp import messages, methods, origin
from app.api.mcp.messages import ProtocolError

bp = Blueprint("mcp", __name__)
bp.before_request(origin.check)
bp.before_request(auth.authorize)


@bp.post("/mcp")
@endpoint(is_operation=False, returns_file=True, media_type=JSON)
def receive() -> Response:
    """Receive a message of the Model Context Protocol."""
    id: int | str | None = None
    try:
        message = messages.read(request.get_data())
        id = None if message.is_notification else message.id
        messages.check(message)
        if message.is_notification:
            return Response(status=202)
        return _response({"id": id, "result": methods.result(message)})
    except ProtocolError as error:
        body = {"code": error.code, "message": error.message}
        if error.data is not None:
            body["data"] = error.data
        return _response({"id": id, "error": body}, error.status)


@bp.after_request
def send_as_json_rpc(response: Response) -> Response:
    """Return an error of the service as one of JSON-RPC, which clients show to their users.

    Its code is the HTTP status, which is outside of the codes that JSON-RPC reserves, and its data
    is the error as the API returns it.
    """
    if response.status_code < 400:
        return response
    body = orjson.loads(response.get_data())
    if "jsonrpc" in body:
        return response
    error = body["error"]
    code = messages.INTERNAL_ERROR if response.status_code == 500 else response.status_code
    converted = {"code": code, "message": error["message"], "data": error}
    response.set_data(orjson.dumps({"jsonrpc": "2.0", "id": None, "error": converted}))
    if scopes := g.get("required_scopes"):
        challenge = f'Bearer error="insufficient_scope", scope="{scopes[0]}"'
        response.headers["WWW-Authenticate"] = challenge
    return response


def _response(body: dict[str, Any], status: int = 200) -> Response:
    return Response(orjson.dumps({"jsonrpc": "2.0", **body}), status, content_type=JSON)
