"""Artefacts on the real runtimes, and the seal."""
