"""Scripts that go into a handoff folder; they stand alone and are copied with their manifest filled in."""
