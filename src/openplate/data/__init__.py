"""Data sets of many origins in, data sets in the form of docs/datasets.md out: convert, inspect, split, merge, fetch. No torch."""
