"""Formats and (optionally) photos in, drawn plates, crops and scenes with exact labels out; no torch."""
