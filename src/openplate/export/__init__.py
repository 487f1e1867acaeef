"""Checkpoints in, self-describing `.onnx` files out; parity with torch is checked, a mismatch is an error."""

from openplate.export.onnx import export_checkpoint

__all__ = ["export_checkpoint"]
