"""What the three libraries share: specs, comparison, errors, progress, files and processes."""
