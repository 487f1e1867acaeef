"""Crops in, readings out."""
