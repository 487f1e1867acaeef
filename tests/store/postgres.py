"""A real PostgreSQL in a temporary folder, reached through a socket in it; Debian's package `postgresql` is enough."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

USER = "openplate"


def binaries() -> Path | None:
    """The folder of the newest installed server's programs, None when there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


@contextmanager
def running(settings: Sequence[str] = ("fsync=off", "full_page_writes=off")) -> Iterator[str]:
    """A server with one database "first", until the block ends; gives the database's URL.

    The server refuses to run as root: then it runs as the user that Debian's package makes, or as nobody.
    """
    programs = binaries()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="openplate-postgres-"))
    owner = _owner()
    if owner is not None:
        os.chown(folder, owner.pw_uid, owner.pw_gid)

    def run(*command: str) -> None:
        done = subprocess.run(
            command, cwd=folder, user=None if owner is None else owner.pw_name, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
        )
        if done.returncode:
            log = folder / "log"
            raise RuntimeError(f"{command[0]} failed: {done.stdout}{done.stderr}{log.read_text() if log.exists() else ''}")

    try:
        run(str(programs / "initdb"), "-D", str(folder / "data"), "-U", USER, "-E", "UTF8", "--locale=C.UTF-8", "-A", "trust", "--no-sync")
        options = " ".join(["-c listen_addresses=''", f"-c unix_socket_directories='{folder}'", *(f"-c {setting}" for setting in settings)])
        run(str(programs / "pg_ctl"), "-D", str(folder / "data"), "-l", str(folder / "log"), "-w", "-o", options, "start")
        try:
            run(str(programs / "createdb"), "-h", str(folder), "-U", USER, "first")
            yield f"postgresql://{USER}@/first?unix_sock={folder}/.s.PGSQL.5432"
        finally:
            run(str(programs / "pg_ctl"), "-D", str(folder / "data"), "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _owner() -> pwd.struct_passwd | None:
    """The user for the server, None when this process is not root."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError("PostgreSQL does not run as root, and there is no user postgres or nobody")
