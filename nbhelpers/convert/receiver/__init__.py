"""Standalone scripts for a handoff folder. They are copied with their manifest filled in."""
