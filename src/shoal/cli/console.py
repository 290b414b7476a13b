"""What the command line prints: tables for people, one JSON document for programs.

Results go to stdout; progress, warnings and errors go to stderr. With `--json` nothing but the one
document stands on stdout, and stderr carries one JSON object a line.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.progress import Progress as RichProgress

    from shoal.domain.errors import ShoalError


class Console:
    """Prints results either for people or as JSON."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json
        self._out: RichConsole | None = None
        self._err: RichConsole | None = None

    @property
    def out(self) -> RichConsole:
        if self._out is None:
            from rich.console import Console as RichConsole

            self._out = RichConsole(highlight=False, soft_wrap=True)
        return self._out

    @property
    def err(self) -> RichConsole:
        if self._err is None:
            from rich.console import Console as RichConsole

            self._err = RichConsole(stderr=True, highlight=False, soft_wrap=True)
        return self._err

    def document(self, document: Mapping[str, Any]) -> None:
        """The one JSON document of a call; nothing in tables mode."""
        if self.as_json:
            json.dump(document, sys.stdout, ensure_ascii=False, default=str)
            sys.stdout.write("\n")

    def say(self, text: str) -> None:
        """A line for people, taken literally; nothing in JSON mode."""
        if not self.as_json:
            self.out.print(text, markup=False)

    def heading(self, text: str) -> None:
        if not self.as_json:
            from rich.text import Text

            self.out.print(Text(text, style="bold"))

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        title: str = "",
        right: Sequence[str] = (),
    ) -> None:
        """A table; the columns named in `right` are set flush right."""
        if self.as_json:
            return
        from rich import box
        from rich.table import Table
        from rich.text import Text

        table = Table(
            title=title or None, box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False
        )
        for name in columns:
            table.add_column(name, justify="right" if name in right else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
        self.out.print(table)

    def log(self, level: str, message: str, **fields: object) -> None:
        """A structured line on stderr: JSON in JSON mode, text for people otherwise."""
        if self.as_json:
            line = {"level": level, "message": message, **fields}
            sys.stderr.write(json.dumps(line, ensure_ascii=False, default=str) + "\n")
        else:
            self.err.print(f"{level}: {message}" if level != "info" else message, markup=False)

    def warn(self, message: str, **fields: object) -> None:
        self.log("warning", message, **fields)

    def error(self, error: ShoalError) -> None:
        """An error, as the contract says."""
        if self.as_json:
            self.document(error.as_document())
            return
        from rich.text import Text

        self.err.print(Text.assemble(("error: ", "bold red"), error.message))
        if error.where:
            self.err.print(f"  where: {error.where}", markup=False)
        for line in filter(None, error.hint.split("\n")):
            self.err.print(f"  {line}", markup=False)

    def progress(self) -> ProgressBar:
        """A progress bar on stderr, silent in JSON mode and where stderr is no terminal."""
        return ProgressBar(self)


class Logged(logging.Handler):
    """What the library logs, printed as the command line prints it; for a `with` block."""

    def __init__(self, console: Console) -> None:
        super().__init__(logging.WARNING)
        self._console = console

    def __enter__(self) -> Logged:
        logging.getLogger("shoal").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("shoal").removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        told = record.__dict__
        more = {name: told[name] for name in ("receipt", "recovery") if name in told}
        self._console.log(record.levelname.lower(), record.getMessage(), **more)


class ProgressBar:
    """A `workflows.progress.Progress` drawn with rich."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: RichProgress | None = None
        self._task: Any = None
        self._label = ""

    def start(self, label: str, total: float | None, unit: str = "") -> None:
        """Begin a task of `total` units (None: unknown)."""
        if self._console.as_json or not self._console.err.is_terminal:
            return
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        self.done()
        count = "" if unit == "%" else "{task.completed:,.0f} " + unit
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn(count, markup=False),
            TimeRemainingColumn(),
            console=self._console.err,
            transient=True,
        )
        self._bar.start()
        self._label = label
        self._task = self._bar.add_task(label, total=total)

    def advance(self, amount: float = 1) -> None:
        if self._bar is not None:
            self._bar.advance(self._task, amount)

    def tell(self, text: str) -> None:
        if self._bar is not None:
            self._bar.update(self._task, description=f"{self._label}: {text}")

    def done(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
