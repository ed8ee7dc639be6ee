"""Inputs that a model accepts: drawn, searched for, or given by the user."""
