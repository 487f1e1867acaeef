"""A camera for tests: numbered pictures over RTSP, from GStreamer. Needs the system's Python with python3-gi, not the virtual environment's.

    /usr/bin/python3 rtsp_server.py --port 8554 --codec h264

Prints "ready" when it listens at rtsp://127.0.0.1:PORT/street. Each picture shows its number, counted from the start of the connection, as ten
blocks: the lowest bit is on the left. Packages: python3-gi, gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-base, -good and -bad.
"""

import argparse
import re

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer

WIDTH, HEIGHT, BITS = 160, 96, 10
ENCODERS = {
    "h264": "openh264enc gop-size=10 ! rtph264pay config-interval=-1",
    "h265": "x265enc key-int-max=10 tune=zerolatency speed-preset=ultrafast ! rtph265pay config-interval=-1",
    "jpeg": "jpegenc ! rtpjpegpay",
}


def picture(number):
    """The bytes of a grey picture that shows a number."""
    line = bytearray(bytes([60]) * WIDTH)
    for bit in range(BITS):
        line[8 + 14 * bit : 20 + 14 * bit] = bytes([255 if number >> bit & 1 else 0]) * 12
    plain = bytes([60]) * WIDTH
    return plain * 8 + bytes(line) * 32 + plain * (HEIGHT - 40)


class Street(GstRtspServer.RTSPMediaFactory):
    """Makes the pipeline of each connection."""

    def __init__(self, codec, fps, silent_after):
        super().__init__()
        self.fps, self.silent_after = fps, silent_after
        self.set_shared(True)
        self.set_launch(
            "( appsrc name=source is-live=true block=true max-buffers=2 format=time "
            f"caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={fps}/1 "
            f"! videoconvert ! video/x-raw,format=I420 ! {ENCODERS[codec]} name=pay0 pt=96 )"
        )

    def do_configure(self, media):
        """Start the numbers of a new connection."""
        self.number = 0
        media.get_element().get_child_by_name("source").connect("need-data", self.push)

    def push(self, source, _length):
        """The next picture; nothing more after `silent_after` of them, while the connection stays."""
        if self.silent_after and self.number >= self.silent_after:
            return
        buffer = Gst.Buffer.new_wrapped(picture(self.number % 2**BITS))
        buffer.duration = Gst.SECOND // self.fps
        buffer.pts = buffer.dts = self.number * Gst.SECOND // self.fps
        self.number += 1
        source.emit("push-buffer", buffer)


def main():
    """Serve until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="end at once, with an error when something is not installed")
    parser.add_argument("--port", default="8554")
    parser.add_argument("--codec", choices=sorted(ENCODERS), default="h264")
    parser.add_argument("--fps", type=int, default=25)
    parser.add_argument("--silent-after", type=int, default=0, help="send no picture after this many, but keep the connection")
    parser.add_argument("--password", help="ask for the user 'user' with this password")
    options = parser.parse_args()
    Gst.init(None)
    needed = [name for line in ENCODERS.values() for name in re.findall(r"[a-z0-9]+(?:enc|pay)\b", line)]
    gone = [name for name in ("appsrc", "videoconvert", *needed) if Gst.ElementFactory.find(name) is None]
    if gone:
        raise SystemExit(f"GStreamer has no {', '.join(gone)}")
    if options.check:
        return
    server = GstRtspServer.RTSPServer(service=options.port, address="127.0.0.1")
    factory = Street(options.codec, options.fps, options.silent_after)
    if options.password:
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "viewer")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic("user", options.password), token)
        server.set_auth(auth)
        factory.add_role_from_structure(Gst.Structure.from_string("viewer, media.factory.access=true, media.factory.construct=true")[0])
    server.get_mount_points().add_factory("/street", factory)
    if not server.attach(None):
        raise SystemExit(f"port {options.port} cannot be opened")
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
