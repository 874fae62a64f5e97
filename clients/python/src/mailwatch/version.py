"""The version of the package, which is that of the service."""

from importlib import metadata

try:
    VERSION = metadata.version("mailwatch-client")
except metadata.PackageNotFoundError:  # imported from the source tree
    VERSION = "development"
