"""A real MQTT broker (mosquitto) on a free port, and what it hands on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion


class Mosquitto:
    """The broker as a process; it can be stopped and started again on the same port."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port = port
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        binary = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
        if binary is None:
            if os.environ.get("OPENPLATE_NEEDS_MOSQUITTO"):
                raise AssertionError("mosquitto is not installed")
            pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
        config = self._folder / "mosquitto.conf"
        config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence false\n", encoding="utf8")
        self._process = subprocess.Popen([binary, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None


@contextmanager
def heard(port: int, topic: str) -> Iterator[list[tuple[str, Any]]]:
    """Everything that the broker hands on under a topic, as (topic, payload); JSON where it is some."""
    messages: list[tuple[str, Any]] = []
    subscribed = threading.Event()
    client = Client(CallbackAPIVersion.VERSION2)

    def take(_: Client, __: object, message: MQTTMessage) -> None:
        text = message.payload.decode()
        messages.append((message.topic, json.loads(text) if text.startswith("{") else text))

    client.on_message = take
    client.on_connect = lambda *_: client.subscribe(topic, qos=1)
    client.on_subscribe = lambda *_: subscribed.set()
    for _ in range(100):
        try:
            client.connect("127.0.0.1", port)
            break
        except OSError:
            time.sleep(0.05)
    client.loop_start()
    assert subscribed.wait(10)
    yield messages
    client.disconnect()
    client.loop_stop()
