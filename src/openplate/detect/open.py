"""A detector's file in, the detector that its network needs out."""

from __future__ import annotations

from pathlib import Path

from openplate.detect.detector import Detector, Detects
from openplate.detect.yolo import YoloDetector
from openplate.engine import open_network


def open_detector(path: Path, engine: str = "auto", device: str = "cpu", precision: str = "auto", threads: int = 1) -> Detects:
    """The detector of a file: one of this project when the file says so (`openplate.kind`), otherwise a YOLOv8 export of Ultralytics.

    Raises:
        WeightsError: the file is missing, or a network of another kind.
        EngineError: the engine, device or precision is not available.
    """
    network = open_network(path, engine=engine, device=device, precision=precision, threads=threads)
    if "openplate.kind" in network.metadata:
        return Detector(path, network=network)
    return YoloDetector(path, network)
