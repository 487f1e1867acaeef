"""One file a kind of data set: a source in its published layout in, rows and faults out. `KINDS` names them all."""

from openplate.data.kinds import (
    autoria_detection,
    autoria_ocr,
    ay000554_detection,
    ay000554_ocr,
    ccpd,
    coco,
    labels,
    table,
    voc,
    yolo,
    yolo_pose,
)
from openplate.data.rows import Reader

KINDS: dict[str, Reader] = {
    "openplate": labels.read,
    "ay000554-ocr": ay000554_ocr.read,
    "ay000554-detection": ay000554_detection.read,
    "autoria-ocr": autoria_ocr.read,
    "autoria-detection": autoria_detection.read,
    "ccpd": ccpd.read,
    "yolo": yolo.read,
    "yolo-pose": yolo_pose.read,
    "voc": voc.read,
    "coco": coco.read,
    "csv": table.read,
}
"""Name of a kind → its reader."""

__all__ = ["KINDS"]
