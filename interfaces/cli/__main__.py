"""Entry point of `python -m interfaces.cli`."""

from interfaces.cli import main

main()
