"""What every job needs and takes long to build, so that forked processes inherit it."""

from sqlalchemy.orm import configure_mappers

from app.protocols import public_suffix


def preload() -> None:
    """Configure the mappers of the models, and read the Public Suffix List."""
    configure_mappers()
    public_suffix.registrable("example.com")
