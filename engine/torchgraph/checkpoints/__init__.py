"""Trained weights from files: read without running code, selected, and loaded as a whole."""
