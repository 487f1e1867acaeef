"""Words in, their bitmap out: shop signs, captions, a recorder's time line. A system font where there is one, OpenCV's strokes otherwise."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from openplate.synthesize.glyphs import Mask, SystemFont


@lru_cache(maxsize=512)
def words_mask(words: str, height_px: int, font: SystemFont | None) -> Mask:
    """A line of words as `(height_px, W) uint8`, 255 where there is ink; `height_px` is that of the line, capitals are about 0.75 of it. Read only."""
    if font is None:
        scale, thick = height_px / 32, max(1, round(height_px / 18))
        (width, _), _ = cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
        mask = np.zeros((height_px, max(2, width + 2)), np.uint8)
        cv2.putText(mask, words, (1, round(height_px * 0.8)), cv2.FONT_HERSHEY_SIMPLEX, scale, 255.0, thick, cv2.LINE_AA)
        return mask
    from PIL import Image, ImageDraw, ImageFont

    face = ImageFont.truetype(font.path, max(4, round(height_px * 0.95)), index=font.index)
    picture = Image.new("L", (max(2, int(face.getlength(words)) + 2), height_px), 0)
    ImageDraw.Draw(picture).text((1, round(height_px * 0.8)), words, font=face, fill=255, anchor="ls")
    return np.asarray(picture, dtype=np.uint8)
