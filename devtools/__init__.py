"""What ./dev does: the environment, the embedded servers, and the processes of a local service.

Standard library only, since it runs before anything is installed.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


class DevError(Exception):
    """What keeps a command from going on, and what to do about it, for a person to read."""
