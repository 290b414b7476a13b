"""Run a command beside a PostgreSQL server that lives only for as long: `make test-postgres`.

    python -m tests.postgres_cluster COMMAND...

The server is the system's. It listens on a socket in a temporary folder alone, knows one user, with
a password made for it, and is gone afterwards. `initdb` refuses root: then it runs as another user.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tests.postgres import DATA_VARIABLE, VARIABLE

_PORT: Final = 5432
#: Of the socket's folder only the owner of the server and root know.
_USERS: Final = ("postgres", "nobody")
#: Tests kill Shoal and not the machine: what the server syncs is not what they ask about.
_SETTINGS: Final = {
    "listen_addresses": "", "port": str(_PORT), "fsync": "off", "shared_buffers": "32MB",
    "max_connections": "60",
}  # fmt: skip


class NoServerError(Exception):
    """There is no PostgreSQL here, or it does not start; the text says what to do."""


def binaries() -> Path:
    """The folder of `initdb` and `pg_ctl`, the newest; installed where it may be.

    Raises:
        NoServerError: there is none, and it cannot be installed from here.
    """
    found = _found()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("PostgreSQL is not installed: apt-get install postgresql", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "postgresql"]):
            subprocess.run(command, env=quiet, stdout=subprocess.DEVNULL, check=False)
        found = _found()
    if found is None:
        raise NoServerError(
            "No PostgreSQL server is installed here (initdb and pg_ctl). Install it, on Debian and "
            f"Ubuntu with: sudo apt-get install postgresql; or set {VARIABLE} to the address of a "
            "database that tests may fill, and run: pytest tests/contracts "
            "tests/journeys/test_postgres.py"
        )
    return found


def _found() -> Path | None:
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin"),
        key=lambda one: [int(part) if part.isdigit() else 0 for part in one.parts[-2].split(".")],
    )
    config = shutil.which("pg_config")
    if config is not None:
        told = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=False)
        folders.insert(0, Path(told.stdout.strip() or "/nowhere"))
    initdb = shutil.which("initdb")
    if initdb is not None:
        folders.insert(0, Path(initdb).resolve().parent)
    whole = [one for one in folders if all((one / name).exists() for name in ("initdb", "pg_ctl"))]
    return whole[-1] if whole else None


@contextmanager
def cluster() -> Iterator[dict[str, str]]:
    """A server; what the environment of tests must say of it.

    Raises:
        NoServerError: it does not start.
    """
    programs = binaries()
    home = Path(tempfile.mkdtemp(prefix="shoal-postgres-"))
    owner = _owner()
    password = secrets.token_urlsafe(24)
    data, log, secret = home / "data", home / "log", home / "secret"
    try:
        secret.write_text(password)
        if owner is not None:
            for path in (home, secret):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        _run(
            owner, programs / "initdb", "--pgdata", data, "--username", "shoal_test", "--pwfile",
            secret, "--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8",
            "--no-sync",
        )  # fmt: skip
        secret.unlink()
        settings = " ".join(f"-c {name}='{value}'" for name, value in _SETTINGS.items())
        _run(
            owner, programs / "pg_ctl", "--pgdata", data, "--wait", "--log", log, "--options",
            f"-k '{home}' {settings}", "start",
        )  # fmt: skip
        try:
            yield {
                VARIABLE: f"postgresql://shoal_test:{quote(password)}@/postgres?host={home}",
                DATA_VARIABLE: str(data),
            }
        finally:
            _run(owner, programs / "pg_ctl", "--pgdata", data, "--mode", "immediate", "stop")
    finally:
        shutil.rmtree(home, ignore_errors=True)


def _owner() -> pwd.struct_passwd | None:
    """Whom the server runs as; None: who runs this."""
    if os.geteuid() != 0:
        return None
    for name in _USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoServerError(f"initdb refuses root, and there is no user {' or '.join(_USERS)}.")


def _run(owner: pwd.struct_passwd | None, *command: str | Path) -> None:
    # What it starts in the background must not hold an end of a pipe: it would never be closed.
    with tempfile.TemporaryFile("w+") as told:
        done = subprocess.run(
            [str(part) for part in command], stdout=told, stderr=told, check=False, cwd="/",
            user=None if owner is None else owner.pw_uid,
            group=None if owner is None else owner.pw_gid,
            extra_groups=None if owner is None else [],
        )  # fmt: skip
        if done.returncode:
            told.seek(0)
            raise NoServerError(f"{Path(command[0]).name} failed:\n{told.read()}")


def main(command: Sequence[str]) -> int:
    """Run a command beside a server; its exit code."""
    for one in (signal.SIGTERM, signal.SIGHUP):  # the server must not outlive who is told to end
        signal.signal(one, lambda number, _: sys.exit(128 + number))
    try:
        with cluster() as environment:
            told = {**os.environ, **environment}
            return subprocess.run(list(command), env=told, check=False).returncode
    except NoServerError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
