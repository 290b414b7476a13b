"""A process that appends calls to an inbox until it has appended all: told in JSON, tells in JSON.

Told to it: {"home", "url", "name", "ids", "some"}; without an address it is a file of SQLite.
Told after each append, a line: the ids that were new, `written`, and what the mark holds.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from shoal.adapters.high_water import told as marked
from shoal.adapters.postgres import Namespace
from shoal.adapters.sql_inbox import SqlInbox
from shoal.ports import Arrived


def main() -> None:
    asked = json.loads(sys.argv[1])
    home = Path(asked["home"])
    where: Path | Namespace
    if asked["url"] is None:
        where, mark = home / "inbox.sqlite", home / "inbox.sqlite.mark"
    else:
        where = Namespace(asked["url"], asked["name"], home)
        mark = where.mark("inbox")
    inbox = SqlInbox(where)
    print("{}", flush=True)
    sys.stdin.readline()
    ids, some = asked["ids"], asked["some"]
    for start in range(0, len(ids), some):
        part = ids[start : start + some]
        new = inbox.append([Arrived("web", one, 10, b"{}") for one in part])
        fresh = [one for one, is_new in zip(part, new, strict=True) if is_new]
        # Of calls that were taken before, `written` is not before the last of them either.
        print(
            json.dumps({"new": fresh, "asked": part, "written": inbox.written,
                        "mark": marked(mark)}), flush=True,
        )  # fmt: skip
    inbox.close()


if __name__ == "__main__":
    main()
