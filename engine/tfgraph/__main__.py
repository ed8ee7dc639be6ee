"""`python -m tfgraph` is the command line `tfgraph`."""

from tfgraph.commandline import main

main()
