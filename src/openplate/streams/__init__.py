"""A video file, webcam, camera's address, folder of frames or pipe in; a stream of `openplate.types.Frame` out.

What is recorded gives every frame in order (`recorded.py`, `folder.py`); what is live gives the newest (`camera.py`).
Everything but folders needs the extra `video`.
"""

from __future__ import annotations

from openplate.errors import ConfigError, SourceError
from openplate.streams.address import parse_source
from openplate.streams.folder import PictureFolder
from openplate.streams.settings import DEFAULT_SETTINGS, StreamSettings
from openplate.streams.stream import GivenFrames, Stream

__all__ = ["GivenFrames", "Stream", "StreamSettings", "open_stream"]


def open_stream(source: str, settings: StreamSettings = DEFAULT_SETTINGS) -> Stream:
    """Open a source and get its first frame; use the result in a `with` block and iterate over it.

    Args:
        source: a video file, a folder of pictures, a webcam's number, an address (rtsp://, http://, ...), or `-` for what is piped in.
        settings: which frames, and how patiently.

    Raises:
        SourceError: nothing is there, it is no video, not one frame can be decoded, or a camera does not answer.
        ConfigError: a setting does not go with this source.
    """
    address = parse_source(source)
    if address.kind == "folder":
        return PictureFolder(address.location, settings)
    from openplate.streams.camera import Camera
    from openplate.streams.recorded import Recording
    from openplate.streams.video import Video

    live = address.kind in ("camera", "webcam") or (address.kind in ("web", "pipe") and settings.live is True)
    if live:
        _expect_no_choice(settings, address.name)
        return Camera(address, settings)
    if address.kind == "pipe" and settings.loop != 1:
        raise ConfigError("loop: a pipe can be read once; save it to a file first")
    if address.kind == "web" and settings.wait_at_start and settings.live is None:
        _expect_no_choice(settings, address.name)
        return Camera(address, settings)
    video = Video(address, settings)
    if address.kind == "web" and video.is_picture:
        video.close()
        raise SourceError(f"{address.name}: expected a stream, got a single picture; ask the camera for its video, often rtsp://… or …/video.mjpg")
    if address.kind == "web" and settings.live is None and video.length_s is None:
        _expect_no_choice(settings, address.name)
        return Camera(address, settings, video)
    return Recording(video, settings)


def _expect_no_choice(settings: StreamSettings, name: str) -> None:
    if settings.from_s > 0 or settings.loop != 1:
        key = "from_s" if settings.from_s > 0 else "loop"
        raise ConfigError(f"{key}: {name} is live, its frames can neither be skipped nor repeated; leave {key} out")
