"""Prove artefacts on the real runtimes, and seal the folder."""
