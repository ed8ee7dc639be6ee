"""Compare two runs of one model tensor by tensor, and find the first op that differs."""
