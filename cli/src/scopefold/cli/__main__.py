"""`python -m scopefold.cli` is the `scopefold` command."""

from scopefold.cli.main import main

main()
