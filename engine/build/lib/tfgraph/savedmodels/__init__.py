"""SavedModels: written, read, called, dressed for a server."""
