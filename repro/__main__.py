"""`python -m repro`: the same front door as the console script."""

from repro.cli import main

main()
