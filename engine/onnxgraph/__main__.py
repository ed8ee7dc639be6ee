"""`python -m onnxgraph` is the command line `onnxgraph`."""

from onnxgraph.commandline import main

main()
