"""Sizes, budgets and settings that all methods share, and where they come from."""

from __future__ import annotations

from typing import Any

from bench.segments.settings import SETTINGS

#: Seeds that are reported and never used to choose anything; settings were found on the others.
REPORTED, TUNING = (11, 12, 13), (1, 2)

#: Of more customers known at the cut a random sample takes part, in training too: what a run may
#: cost.
MOST_CUSTOMERS, QUICK_CUSTOMERS = 3_000, 300
#: Seconds that each neural method may train, the same for all, on one thread.
BUDGET_S, QUICK_BUDGET_S = 30.0, 5.0
#: Customers of the small sample whose histories are also written out as sentences.
TEXT_CUSTOMERS, QUICK_TEXT_CUSTOMERS = 400, 40

#: Parts of the learning customers, one of which decides when to stop and how much to penalise.
FOLDS = 5
#: Trees at most, and how many without gain on the validation customers end it. A round of the
#: category mix grows a tree for every category.
ROUNDS, MIX_ROUNDS, PATIENCE = 1_000, 240, 50
#: LightGBM for every method: those of `bench.segments`, found on worlds steady and awkward, seed 1.
LIGHTGBM: dict[str, Any] = SETTINGS

#: A ranked outcome needs something to foretell: the best method beyond these.
LEAST_SHARE, LEAST_AUROC = 0.02, 0.52
#: Goal: never worse than the best peer by more than this.
TOLERANCE = 0.005
#: Draws of customers for intervals.
DRAWS = 1_000
