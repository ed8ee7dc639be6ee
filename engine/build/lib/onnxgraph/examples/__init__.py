"""Inputs that a model takes: drawn, searched for, or given by the user."""
