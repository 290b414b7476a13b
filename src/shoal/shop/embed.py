"""Verbs that embed customers."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shoal import bootstrap
from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    import pyarrow as pa

    from shoal.shop.base import Moment
    from shoal.workflows.embed_files import WrittenEmbeddings
    from shoal.workflows.progress import Progress

_LOG: Final = logging.getLogger("shoal")


class EmbedVerbs(Verbs):
    """Embeddings: what the behaviour model makes of each customer."""

    def embed(
        self,
        *,
        as_of: Moment | None = None,
        model: str | None = None,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> pa.Table:
        """`customer_id`, `e0` to `eD` (float32) of all customers with an event before `as_of`.

        Sorted by customer; the schema's metadata tell moment and model. A warning is logged where
        the model was trained on what came after the moment.

        Args:
            as_of: T; None for just after the latest event.
            model: its id; None for the current one.

        Raises:
            UsageError: `unknown_model`.
            InputError: `too_little_data`.
            OperationError: `artefact_damaged`, `model_mismatch`, `missing_extra`.
        """
        from shoal.features.snapshot import latest_moment
        from shoal.features.text import CACHE
        from shoal.workflows.embed import current, embeddings, late_warning

        parts = self._parts
        found = current(parts.store, parts.registry, model)
        self._finish_erasures(reading=True)
        moment = moment_of(as_of) or latest_moment(parts.warehouse, version=table_version)
        for warning in late_warning(found, moment):
            _LOG.warning(warning)
        return embeddings(
            parts.admission.at(moment, version=table_version),
            found,
            parts.fold.rules,
            moment,
            version=table_version,
            text_cache=self.directory / CACHE,
            progress=progress,
        )

    def write_embeddings(
        self,
        out: str | Path,
        *,
        as_of: Moment | None = None,
        model: str | None = None,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> WrittenEmbeddings:
        """Write the embeddings of all customers to a Parquet (or Arrow) file, in bounded memory.

        Killed and called again, it goes on with what was embedded. Arguments and errors as of
        `embed`, and `unknown_format`.
        """
        from shoal.features.text import CACHE
        from shoal.workflows.embed_files import write_embeddings

        path, parts = Path(out), self._parts
        return self._listed(
            path,
            "embeddings",
            lambda: write_embeddings(
                warehouse=parts.warehouse,
                store=parts.store,
                registry=parts.registry,
                rules=parts.fold.rules,
                admission=parts.admission,
                work_dir=self.directory / bootstrap.WORK_DIR,
                out=path,
                as_of=moment_of(as_of),
                model=model,
                version=table_version,
                text_cache=self.directory / CACHE,
                progress=progress,
            ),
            lambda written: written.path,
        )
