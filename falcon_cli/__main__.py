"""`falcon`, and `python -m falcon_cli`: the way in, in front of everything that could be broken."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. That another package modeling is in the place of falcon's, nothing behind this could tell."""
    try:
        from falcon_cli.app import main as run
    except ImportError as error:
        other = getattr(sys.modules.get("modeling"), "__file__", None)
        if not (error.name or "").startswith("modeling"):
            raise
        sys.stderr.write(f"error: {other or error.name} is imported in the place of falcon's own package modeling\n")
        sys.stderr.write("hint: leave that folder, or take it out of PYTHONPATH\n")
        sys.exit(1)
    run()


if __name__ == "__main__":
    main()
