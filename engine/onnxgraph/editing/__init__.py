"""Edit a graph: each verb returns a new, checked model, and says what it changed."""
