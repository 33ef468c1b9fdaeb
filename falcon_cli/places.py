"""Where falcon keeps its own files.

Models are not among them: they stay in the cache of Hugging Face (`HF_HOME`).
"""

from __future__ import annotations

import os
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


def _home() -> Path | None:
    home = os.environ.get("FALCON_HOME", "")
    return Path(home).expanduser().absolute() if home else None
