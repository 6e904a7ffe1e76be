"""Entry point of `python -m simulator`."""

from simulator.server import main

main()
