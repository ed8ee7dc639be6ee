"""`python -m torchgraph` is the command line `torchgraph`."""

from torchgraph.commandline import main

main()
