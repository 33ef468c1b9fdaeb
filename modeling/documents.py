"""The small JSON documents of a checkpoint folder: read whole, or refused with their name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from modeling.errors import BadModelFile


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in the file; an empty one if there is no such file.

    Raises `BadModelFile` for a file that cannot be read, is not JSON, or holds anything but an object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise BadModelFile(f"{path} cannot be read: {error}", "download the model again") from None
    if not isinstance(content, dict):
        raise BadModelFile(f"{path} holds no JSON object", "download the model again")
    return content
