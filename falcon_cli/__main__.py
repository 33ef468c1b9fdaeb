"""`falcon`, and `python -m falcon_cli`: the way in, in front of everything that could be broken."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, unless another package modeling is in the place of falcon's: nothing behind this could tell, and to
    import that one, which may be a script, would run it."""
    if fault := _fault():
        sys.stderr.write(fault)
        sys.exit(1)
    from falcon_cli.app import main as run

    run()


def _fault() -> str:
    """What keeps `modeling` from being falcon's; "" if nothing does."""
    found = find_spec("modeling")
    if found is None:
        return "error: falcon's own package modeling is not there\nhint: pip install --force-reinstall falcon-cli\n"
    file = found.origin or next(iter(found.submodule_search_locations or ()), "")  # a folder without __init__ has no origin
    if Path(file).resolve().parent == Path(__file__).resolve().parents[1] / "modeling":
        return ""
    what = f"error: {file} is imported in the place of falcon's own package modeling\n"
    return what + "hint: leave that folder, or take it out of PYTHONPATH\n"


if __name__ == "__main__":
    main()
