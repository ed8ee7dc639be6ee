"""`python -m tfgraph` runs the command line `tfgraph`."""

from tfgraph.commandline import main

main()
