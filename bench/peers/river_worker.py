"""Runs inside the isolated environment of river: one JSON command a line, one answer a line.

It imports nothing of this repository. Commands: `make` (algorithm, settings), `learn` and `predict`
(an .npy file of rows); answers tell seconds of the work itself, without reading files, and for
`predict` the .npy file of labels.
"""

import json
import os
import sys
import time

import numpy as np


def main() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    model = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if command["do"] == "make":
                from river import cluster

                model = getattr(cluster, command["algorithm"])(**command["settings"])
                answer = {}
            else:
                rows = [dict(enumerate(row)) for row in np.load(command["rows"]).tolist()]
                answer = globals()["_" + command["do"]](model, rows, command)
        except Exception as error:
            answer = {"failed": f"{type(error).__name__}: {error}"[:400]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _learn(model, rows, command):
    started = time.perf_counter()
    for row in rows:
        model.learn_one(row)
    return {"seconds": time.perf_counter() - started}


def _predict(model, rows, command):
    started = time.perf_counter()
    labels = [int(model.predict_one(row)) for row in rows]
    seconds = time.perf_counter() - started
    np.save(command["labels"], np.array(labels, dtype=np.int64))
    return {"seconds": seconds, "clusters": len(set(labels))}


if __name__ == "__main__":
    main()
