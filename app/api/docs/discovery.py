"""The files from which programs learn about the API: llms.txt and the API catalog."""

from collections.abc import Mapping
from typing import Any


def overview(document: Mapping[str, Any], base: str) -> str:
    """Return llms.txt: what the API is, where it is documented, and its operations by resource.

    base  the address of this service, such as ``https://watch.example``
    """
    lines = [
        f"# {document['info']['title']}",
        "",
        f"> {document['info']['description']}",
        "",
        "Send an API key as `Authorization: Bearer mp_…`. Errors have the form "
        '`{"error": {"code", "message", "status", "requestId"}}`.',
        "",
        "## Documentation",
        "",
        f"- [API reference]({base}/docs)",
        f"- [OpenAPI 3.1 document]({base}/openapi.json)",
        f"- [Alert types and findings]({base}/docs/alerts)",
        f"- MCP server (Streamable HTTP, tools that only read, with the same API key): {base}/mcp",
    ]
    for tag in document["tags"]:
        lines += ["", f"## {tag['name']}", ""]
        for path, methods in document["paths"].items():
            lines += [
                f"- [{method.upper()} {path}]({base}/docs#{operation['operationId']}): "
                f"{operation['summary']}"
                for method, operation in methods.items()
                if operation["tags"] == [tag["name"]]
            ]
    return "\n".join(lines) + "\n"


def catalog(base: str) -> Mapping[str, Any]:
    """Return the API catalog (RFC 9727) as a linkset (RFC 9264)."""
    return {
        "linkset": [
            {
                "anchor": f"{base}/v1",
                "service-desc": [{"href": f"{base}/openapi.json", "type": "application/json"}],
                "service-doc": [
                    {"href": f"{base}/docs", "type": "text/html"},
                    {"href": f"{base}/llms.txt", "type": "text/plain"},
                ],
                "status": [{"href": f"{base}/readyz", "type": "application/json"}],
            }
        ]
    }
