"""`python -m openplate` is `openplate`."""

from openplate.cli import main

main()
