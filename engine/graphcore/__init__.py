"""The common base of the three libraries: specs, comparison, errors, progress, files, processes."""
