"""Edit a graph: each verb returns a new model that was checked, and says what it changed."""
