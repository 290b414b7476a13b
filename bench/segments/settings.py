"""Settings of LightGBM, for what is attainable and for peers that learn from a score."""

from __future__ import annotations

from typing import Any

#: Rounds that are tried on the earlier period.
ROUNDS = (25, 50, 100, 200, 400)
#: A round of the mix grows a tree for every category.
MIX_ROUNDS = (15, 30, 60, 120, 240)
#: Found on worlds steady and awkward of seed 1, which is never reported, among four: shallow trees
#: of few features each. Deeper and faster ones attain up to half less of spend and days.
SETTINGS: dict[str, Any] = {
    "learning_rate": 0.04, "num_leaves": 4, "min_data_in_leaf": 20, "feature_fraction": 0.2,
    "bagging_fraction": 0.8, "bagging_freq": 1, "lambda_l2": 5.0, "num_threads": 1, "verbose": -1,
    "deterministic": True, "force_row_wise": True,
}  # fmt: skip
