"""Results of a bench as one JSON document and one Markdown page."""

from __future__ import annotations

import json
import os
import platform
import shlex
import statistics
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "results"
_PACKAGES = (
    "shoal", "numpy", "scikit-learn", "scipy", "lightgbm", "pyarrow", "duckdb", "ibis-framework",
    "deltalake", "torch",
)  # fmt: skip


def header(schema: str, module: str, seeds: Sequence[int], **more: Any) -> dict[str, Any]:
    """What every document begins with: schema, command, seeds, machine, versions, load."""
    return {
        "schema": schema,
        "command": shlex.join(["python", "-m", module, *sys.argv[1:]]),
        "seeds": list(seeds),
        "machine": machine(),
        **more,
    }


def machine() -> dict[str, Any]:
    """What the figures were measured on; `load` is the mean number of runnable processes."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cores": os.cpu_count(), "memory_gib": round(pages / 2**30, 1), "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(), "load": round(os.getloadavg()[0], 1),
        "packages": {name: _version(name) for name in _PACKAGES},
    }  # fmt: skip


def machine_line(told: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    packages = ", ".join(f"{name} {number}" for name, number in told["packages"].items())
    return (
        f"{told['cores']} cores ({told['processor']}), {told['memory_gib']} GiB, "
        f"{told['system']}, Python {told['python']}; {packages}."
    )


def spread(values: Iterable[float | None]) -> dict[str, float] | None:
    """Mean, least, greatest and number of the values that are there; None where none is."""
    there = [float(value) for value in values if value is not None and value == value]
    if not there:
        return None
    return {
        "mean": statistics.fmean(there), "min": min(there), "max": max(there), "n": len(there),
    }  # fmt: skip


def told(figure: Mapping[str, float] | None, digits: int = 2) -> str:
    """`0.61 (0.58-0.65)`, or a dash.

    >>> told(spread([0.5, 0.7]))
    '0.60 (0.50-0.70)'
    >>> told(None)
    '–'
    """
    if figure is None:
        return "–"
    mean = f"{figure['mean']:.{digits}f}"
    if figure["n"] == 1:
        return mean
    return f"{mean} ({figure['min']:.{digits}f}-{figure['max']:.{digits}f})"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write(name: str, document: Mapping[str, Any], page: str, out: Path) -> None:
    """`<name>.json` and `<name>.md` in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(as_lines(document), encoding="utf-8")
    (out / f"{name}.md").write_text(page.rstrip() + "\n", encoding="utf-8")


def as_lines(document: Mapping[str, Any]) -> str:
    """The document as JSON, a line a key and a line an item of a list of objects: hundreds of rows
    stay readable and a change of one is a change of one line.

    >>> print(as_lines({"a": 1, "rows": [{"x": 1}, {"x": 2}]}), end="")
    {
     "a": 1,
     "rows": [
      {"x": 1},
      {"x": 2}
     ]
    }
    """
    lines = []
    for key, value in document.items():
        told = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            items = ",\n".join(f"  {json.dumps(one, ensure_ascii=False)}" for one in value)
            told = f"[\n{items}\n ]"
        lines.append(f" {json.dumps(key)}: {told}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
