"""Programs of tests, each in a process of its own that has loaded everything before it begins.

Loading the libraries takes a process two to three seconds. One that has loaded them, and done
nothing else, forks for each program: a killed child is as dead as any other process.

python -m tests.forked   forks a child for each line of stdin and tells how it ended
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import subprocess
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from subprocess import PIPE, CompletedProcess, Popen

ROOT = Path(__file__).parents[1]
#: What programs load. None of it starts a thread that a child would miss.
LOADED = (
    "deltalake", "ibis", "sqlalchemy", "shoal.adapters.deltalake", "shoal.adapters.sql",
    "shoal.shop", "shoal.workflows.ingest", "shoal.workflows.refresh", "tests.shops",
)  # fmt: skip


def run(module: str, *arguments: str | Path) -> CompletedProcess[str]:
    """Run `python -m MODULE ARGUMENTS` in the root of the repository until it ends.

    What it prints is in `stderr`, all of it.
    """
    parent = _parent()
    assert parent.stdin is not None and parent.stdout is not None
    with tempfile.NamedTemporaryFile("r", suffix=".txt") as printed:
        told = {"module": module, "printed": printed.name, "arguments": [*map(str, arguments)]}
        parent.stdin.write(json.dumps(told) + "\n")
        parent.stdin.flush()
        code = int(parent.stdout.readline())
        return CompletedProcess((module, *map(str, arguments)), code, "", printed.read())


@cache
def _parent() -> Popen[str]:
    """The process that forks, one for all tests of a worker."""
    found = Popen(
        [sys.executable, "-m", __name__], cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True
    )  # fmt: skip
    atexit.register(_end, found)
    return found


def _end(parent: Popen[str]) -> None:
    assert parent.stdin is not None and parent.stdout is not None
    parent.stdin.close()
    parent.stdout.close()
    try:
        parent.wait(10)
    except subprocess.TimeoutExpired:
        parent.kill()


def _serve() -> None:
    for name in LOADED:
        import_module(name)
    gc.freeze()
    while line := sys.stdin.readline():
        told = json.loads(line)
        child = os.fork()
        if not child:
            gc.unfreeze()
            return _become(**told)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    gc.unfreeze()  # extension modules complain of what is left at the end
    return None


def _become(module: str, printed: str, arguments: list[str]) -> None:
    """Be the program, with nothing on stdin."""
    nothing, file = os.open(os.devnull, os.O_RDONLY), os.open(printed, os.O_WRONLY)
    for number, place in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(number, place)
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _serve()
