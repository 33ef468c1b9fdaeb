"""`python -m falcon_cli` is `falcon`."""

from falcon_cli.app import main

if __name__ == "__main__":
    main()
