"""Entry point of `python -m workflows.command`."""

from workflows.command import main

main()
