"""Scripts for a handoff folder; they stand alone and are copied with their manifest filled in."""
