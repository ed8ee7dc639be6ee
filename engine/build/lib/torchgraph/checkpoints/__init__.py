"""Trained weights from files: read without running their code, chosen, and loaded as a whole."""
