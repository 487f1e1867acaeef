"""Configs and data in, checkpoints out: the networks and the loop that trains them (PyTorch)."""
