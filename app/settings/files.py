"""Settings in files: ``NAME_FILE`` is the path of a file with the value of the setting ``NAME``.

Docker, Kubernetes and systemd mount secrets as files, so that they are in no environment.
"""

import os
from pathlib import Path
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

MAX_BYTES = 64 * 1024


class FileSource(PydanticBaseSettingsSource):
    """Reads the settings that have a variable ``NAME_FILE`` in the environment."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Return the text of the file, or None without the variable.

        raises  ValueError if the file cannot be read, or the setting itself is set, too
        """
        name = field_name.upper()
        path = os.environ.get(f"{name}_FILE")
        if not path:
            return None, field_name, False
        if os.environ.get(name):
            raise ValueError(f"{name} and {name}_FILE are both set: remove one of them.")
        return _read(f"{name}_FILE", Path(path)), field_name, False

    def __call__(self) -> dict[str, Any]:
        """Return the values by the name of their field; raises as ``get_field_value`` does."""
        fields = self.settings_cls.model_fields
        values = {name: self.get_field_value(field, name)[0] for name, field in fields.items()}
        return {name: value for name, value in values.items() if value}


def _read(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        text = content.decode()
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{name} must be the path of a readable text file.") from None
    if len(content) > MAX_BYTES:
        raise ValueError(f"{name} must be the path of a file of at most {MAX_BYTES} bytes.")
    return text.strip()
