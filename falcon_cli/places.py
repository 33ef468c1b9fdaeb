"""Where falcon keeps its own files, and how their names last.

Models are not among them: they stay in the cache of Hugging Face (`HF_HOME`).
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def config_file() -> Path:
    """config.toml: in FALCON_HOME if that is set, else where this system keeps the settings of programs."""
    home = _home()
    if home is not None:
        return home / "config.toml"
    from platformdirs import user_config_path

    return user_config_path("falcon", appauthor=False) / "config.toml"


def data_folder() -> Path:
    """The folder for what falcon writes and must not lose, such as sessions. It may not exist yet."""
    home = _home()
    if home is not None:
        return home
    from platformdirs import user_data_path

    return user_data_path("falcon", appauthor=False)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last through a power cut, where the system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _home() -> Path | None:
    home = os.environ.get("FALCON_HOME", "")
    return Path(home).expanduser().absolute() if home else None
