"""Compare two runs of one model tensor by tensor, and find where they part."""
