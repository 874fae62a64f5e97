"""The upload of report files."""

from mailwatch.calls import Call, path


def upload(address: str, content: bytes, upload_token: str | None) -> Call:
    """Return the request that uploads a report file.

    address  the report address, or its last part
    """
    token = address.rstrip("/").rpartition("/")[2]
    return Call(
        method="POST",
        path=path("/ingest/{token}", token),
        content=content,
        upload_token=upload_token,
    )
