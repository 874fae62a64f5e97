"""``/.well-known/security.txt``: where to report a vulnerability (RFC 9116)."""

from datetime import timedelta

from flask import Blueprint, Response

from app import settings, wall_clock
from app.api.http.endpoint import endpoint
from app.errors import NotFound
from app.protocols import timestamps

bp = Blueprint("well_known", __name__)

PATH = "/.well-known/security.txt"
VALID_DAYS = 180  # RFC 9116 §2.5.5 recommends less than a year


@bp.get(PATH)
@endpoint(is_public=True, returns_file=True, media_type="text/plain", errors=(404,))
def security_txt() -> Response:
    """Get the contact for vulnerability reports."""
    current = settings.current()
    if not current.security_contact:
        raise NotFound
    midnight = wall_clock.now().replace(hour=0, minute=0, second=0, microsecond=0)
    lines = [f"Contact: {contact}" for contact in current.security_contact]
    lines.append(f"Expires: {timestamps.text(midnight + timedelta(days=VALID_DAYS))}")
    lines.append("Preferred-Languages: en")
    if current.base_url.startswith("https://"):  # §2.5.2 allows no other scheme
        lines.append(f"Canonical: {current.base_url}{PATH}")
    return Response("\n".join(lines) + "\n", content_type="text/plain; charset=utf-8")
