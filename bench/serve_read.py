"""Drawn 1280×720 photos in, the throughput of `POST /v1/read` against the library called in a loop out: photos a second, their ratio, latencies, errors.

The library and the service take turns, so that a busy machine is busy for both. The library runs in a loop in a process of its own, once with one
thread and once with as many as there are cores; the service runs as `openplate serve` does, with clients that send the next photo as soon as the last is read.

Example: python bench/serve_read.py --rounds 3 --seconds 10
         python bench/serve_read.py --photos street/*.jpg --clients 16
         python bench/serve_read.py --memory      (the service's memory after 2,000 and after 20,000 requests)
"""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import click

DRAWN = 16
NO_ANSWER = 0
"""Stands for a status where none came within a minute, or the connection broke."""
CORES = len(os.sched_getaffinity(0))


@dataclass
class Load:
    """What clients saw: seconds of each call that gave plates, the statuses of the others, and how long all took."""

    seconds: list[float] = field(default_factory=list)
    errors: list[int] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def rate(self) -> float:
        """Photos a second."""
        return len(self.seconds) / self.took_s


def drawn_photos(width: int) -> list[bytes]:
    """Streets with one to three vehicles, as JPEG files of this width, 16:9."""
    from openplate.sources import encode_image
    from openplate.synthesize.scenes import draw_scene

    return [encode_image(draw_scene(seed, width, width * 9 // 16)[0], ".jpg") for seed in range(DRAWN)]


def library_rate(photos: Sequence[bytes], seconds: float, threads: int) -> tuple[float, float]:
    """Photos a second of a plain loop (decode, read, write as JSON), and milliseconds of processor time a photo."""
    from openplate.pipeline import Pipeline
    from openplate.results import photo_as_json
    from openplate.sources import read_image

    pipeline = Pipeline(threads=threads)
    for data in photos[:4]:
        pipeline.read_frame(read_image(data)[0])
    started, used, done = time.perf_counter(), time.process_time(), 0
    for data in itertools.cycle(photos):
        json.dumps(photo_as_json(pipeline.read_frame(read_image(data)[0])))
        done += 1
        if time.perf_counter() - started >= seconds:
            break
    return done / (time.perf_counter() - started), 1000 * (time.process_time() - used) / done


@contextmanager
def service(options: Sequence[str] = ()) -> Iterator[tuple[int, int]]:
    """A running `openplate serve`: its port and its process."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "openplate", "serve", "--port", str(port), "--data", folder, "--log-level", "warning", *options]
        process = subprocess.Popen(command)
        try:
            while True:
                try:
                    with socket.create_connection(("127.0.0.1", port), 1):
                        break
                except OSError:
                    if process.poll() is not None:
                        raise click.ClickException("the service did not start") from None
                    time.sleep(0.1)
            yield port, process.pid
        finally:
            process.terminate()
            process.wait(30)


def load(port: int, photos: Sequence[bytes], clients: int, seconds: float | None = None, requests: int | None = None) -> Load:
    """Send photos from so many clients for a time, or so many photos."""
    seen, lock = Load(), threading.Lock()
    numbers = itertools.count() if requests is None else iter(range(requests))
    started = time.perf_counter()

    def send() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        while seconds is None or time.perf_counter() - started < seconds:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            sent = time.perf_counter()
            try:
                connection.request("POST", "/v1/read", photos[number % len(photos)], {"Content-Type": "image/jpeg"})
                answer = connection.getresponse()
                status, body = answer.status, answer.read()
            except (OSError, http.client.HTTPException):
                status, body = NO_ANSWER, b""
                connection.close()  # the next request opens it anew
            with lock:
                if status == 200 and json.loads(body)[0]["width"]:
                    seen.seconds.append(time.perf_counter() - sent)
                else:
                    seen.errors.append(status)
        connection.close()

    threads = [threading.Thread(target=send) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.took_s = time.perf_counter() - started
    return seen


def cpu_ms(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(pid: int) -> float:
    """Resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024


@click.command()
@click.option("--rounds", default=3, show_default=True, help="How often the library and the service take turns.")
@click.option("--seconds", default=10.0, show_default=True, help="Of each turn.")
@click.option("--clients", default=16, show_default=True)
@click.option("--photos", "paths", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Photos instead of drawn ones.")
@click.option("--width", default=1280, show_default=True, help="Of drawn photos, in px; their height is 9/16 of it.")
@click.option("--memory", is_flag=True, help="Measure memory instead of speed.")
@click.option("--requests", default=20_000, show_default=True, help="With --memory; the first figure is after a tenth of them.")
@click.option("--service-options", default="", help="Further options of openplate serve, e.g. '--workers 1'.")
@click.option("--library-only", type=int, hidden=True, help="Print the rate of the loop with so many threads.")
def main(
    rounds: int,
    seconds: float,
    clients: int,
    paths: tuple[Path, ...],
    width: int,
    memory: bool,
    requests: int,
    service_options: str,
    library_only: int | None,
) -> None:
    """Measure the service."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the service ends too
    photos = [path.read_bytes() for path in paths] or drawn_photos(width)
    if library_only is not None:
        click.echo(json.dumps(library_rate(photos, seconds, library_only)))
        return
    with service(service_options.split()) as (port, pid):
        load(port, photos, clients, requests=4 * clients)
        if memory:
            measure_memory(port, pid, photos, clients, requests)
        else:
            measure_speed(port, pid, photos, clients, rounds, seconds, [f"--width={width}", *(f"--photos={path}" for path in paths)])


def measure_speed(port: int, pid: int, photos: Sequence[bytes], clients: int, rounds: int, seconds: float, options: Sequence[str]) -> None:
    """Print the rates of each round, their medians, the processor time of a photo, and the service's latencies."""
    rates: dict[str, list[float]] = {"1 thread": [], f"{CORES} threads": [], "service": []}
    used: dict[str, list[float]] = {name: [] for name in rates}
    all_seconds: list[float] = []
    errors: list[int] = []
    for number in range(rounds):
        for name, threads in (("1 thread", 1), (f"{CORES} threads", CORES)):
            command = [sys.executable, __file__, "--library-only", str(threads), "--seconds", str(seconds), *options]
            rate, photo_ms = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            rates[name].append(rate)
            used[name].append(photo_ms)
        before_ms = cpu_ms(pid)
        seen = load(port, photos, clients, seconds=seconds)
        rates["service"].append(seen.rate)
        used["service"].append((cpu_ms(pid) - before_ms) / max(1, len(seen.seconds)))
        all_seconds += seen.seconds
        errors += seen.errors
        click.echo(f"round {number + 1}: " + ", ".join(f"{name} {values[-1]:.1f}/s" for name, values in rates.items()), err=True)
    medians = {name: statistics.median(values) for name, values in rates.items()}
    cuts = statistics.quantiles(all_seconds, n=100)
    click.echo(
        json.dumps(
            {
                "photos_per_s": {name: round(value, 2) for name, value in medians.items()},
                "service_to_library": {
                    name: round(statistics.median(s / v for s, v in zip(rates["service"], values, strict=True)), 3)
                    for name, values in rates.items()
                    if name != "service"
                },
                "cpu_ms_per_photo": {name: round(statistics.median(values), 1) for name, values in used.items()},
                "clients": clients,
                "requests": len(all_seconds),
                "errors": errors,
                "latency_ms": {"median": round(1000 * cuts[49]), "p99": round(1000 * cuts[98]), "p99_to_median": round(cuts[98] / cuts[49], 2)},
                "cores": CORES,
            },
            indent=1,
        )
    )
    if errors:
        raise click.ClickException(f"{len(errors)} requests were not answered as they should be")


def measure_memory(port: int, pid: int, photos: Sequence[bytes], clients: int, requests: int) -> None:
    """Print the service's memory after a tenth of the requests and after all of them."""
    figures = []
    errors = answered = 0
    for count in (requests // 10, requests - requests // 10):
        seen = load(port, photos, clients, requests=count)
        errors += len(seen.errors)
        answered += len(seen.seconds)
        figures.append(memory_mb(pid))
        click.echo(f"{count} requests, {seen.rate:.1f}/s: {figures[-1]:.0f} MB", err=True)
    click.echo(
        json.dumps(
            {"requests": [requests // 10, requests], "memory_mb": [round(f, 1) for f in figures], "growth": round(figures[1] / figures[0] - 1, 4)}
            | {"answered": answered, "errors": errors}
        )
    )
    if errors:
        raise click.ClickException(f"{errors} of {requests} requests were not answered as they should be")


if __name__ == "__main__":
    main()
