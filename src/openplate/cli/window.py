"""Images in, a window on the screen out: the `--show` of the command line, with Python's own tkinter."""

from __future__ import annotations

import cv2
import numpy as np

from openplate.errors import EngineError
from openplate.types import Image

_SCREEN_SHARE = 0.9


class Window:
    """A window that shows one image after the other; `q`, Escape or closing it ends it.

    Raises:
        EngineError: this Python has no tkinter, or there is no screen.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ImportError:
            raise EngineError("a window needs tkinter, and this Python has none; Debian and Ubuntu: apt install python3-tk") from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError as error:
            raise EngineError(f"a window needs a screen: {error}; leave --show out, or use --annotate FILE") from None
        self._root.title(title)
        self._photo_kind = tkinter.PhotoImage
        self._photo: tkinter.PhotoImage | None = None
        self._label = tkinter.Label(self._root, borderwidth=0)
        self._label.pack()
        self._largest = (int(self._root.winfo_screenwidth() * _SCREEN_SHARE), int(self._root.winfo_screenheight() * _SCREEN_SHARE))
        self._open = True
        for key in ("q", "Q", "<Escape>"):
            self._root.bind(key, self._end)
        self._root.protocol("WM_DELETE_WINDOW", self._end)

    def show(self, image: Image) -> bool:
        """Show an image, made smaller where the screen needs it; whether the window is still wanted."""
        if self._open:
            height, width = image.shape[:2]
            scale = min(1.0, self._largest[0] / width, self._largest[1] / height)
            if scale < 1:
                image = np.asarray(cv2.resize(image, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA), np.uint8)
            header = f"P6 {image.shape[1]} {image.shape[0]} 255 ".encode()
            photo = self._photo_kind(master=self._root, data=header + np.ascontiguousarray(image).tobytes(), format="PPM")
            self._label.configure(image=photo)
            self._photo = photo
            self._root.update()
        return self._open

    def close(self) -> None:
        """Take the window away."""
        self._root.destroy()

    def _end(self, *_: object) -> None:
        self._open = False
