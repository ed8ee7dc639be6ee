"""Write, read and call SavedModels."""
