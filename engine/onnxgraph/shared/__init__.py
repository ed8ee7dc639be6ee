"""What all three libraries share: errors, specs, comparison, progress."""
