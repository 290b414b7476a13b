"""Runs inside the isolated environment of river: rows in an .npy file, detectors by class name.

It imports nothing of this repository. Every column has a detector of its own, which is shown the
column's values in order (missing ones are left out); one JSON object on stdout tells, for each
class, the rows at which a detector of any column told of drift.
"""

import csv
import json
import sys

import numpy as np


class _Reader(csv.DictReader):
    """river 0.26 writes `csv.DictReader[...]`, which Python has from 3.12 on."""

    __class_getitem__ = classmethod(lambda cls, _: cls)


def main() -> None:
    csv.DictReader = _Reader
    from river import drift

    rows = np.load(sys.argv[1])
    told = {}
    for name in sys.argv[2:]:
        settings = {"seed": 0} if name == "KSWIN" else {}
        found = set()
        for column in rows.T:
            detector = getattr(drift, name)(**settings)
            for place, value in enumerate(column.tolist()):
                if value != value:
                    continue
                detector.update(value)
                if detector.drift_detected:
                    found.add(place)
        told[name] = sorted(found)
    print(json.dumps(told))


if __name__ == "__main__":
    main()
