"""Runs inside the isolated environment of RecTools: one epoch of SASRec, its seconds as JSON.

It imports nothing of this repository. Arguments: a log (.npz), length of sessions, batch size.
"""

import json
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")


def main() -> None:
    import pandas as pd
    import torch
    from pytorch_lightning import Trainer
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(1)
    log, length, batch = np.load(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    frame = pd.DataFrame(
        {
            Columns.User: log["customer"], Columns.Item: log["item"], Columns.Weight: 1.0,
            Columns.Datetime: pd.to_datetime(log["us"], unit="us"),
        }
    )  # fmt: skip
    dataset = Dataset.construct(frame)

    def trainer(epochs: int) -> Trainer:
        return Trainer(
            max_epochs=epochs, accelerator="cpu", devices=1, logger=False,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip

    seconds = []
    for epochs in (1, 2):  # the difference is an epoch without what is done once
        model = SASRecModel(
            n_factors=128, n_blocks=2, n_heads=4, session_max_len=length, batch_size=batch,
            dropout_rate=0.0, loss="softmax", dataloader_num_workers=0,
            get_trainer_func=lambda epochs=epochs: trainer(epochs),
        )  # fmt: skip
        started = time.perf_counter()
        model.fit(dataset)
        seconds.append(time.perf_counter() - started)
    body = model.torch_model.transformer_layers
    layers = sum(one.numel() for one in body.parameters())
    print(json.dumps({"seconds": seconds[1] - seconds[0], "parameters": layers}))


if __name__ == "__main__":
    main()
