"""What requests and jobs need and takes long to build; forked processes inherit it."""

import gc

from sqlalchemy.orm import configure_mappers

from app.protocols import public_suffix


def preload() -> None:
    """Configure the mappers of the models, and read the Public Suffix List.

    effects  excludes the existing objects, which stay, from later garbage collections
    """
    configure_mappers()
    public_suffix.registrable("example.com")
    gc.collect()
    gc.freeze()
