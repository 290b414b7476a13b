"""The verb that says how good embeddings are and what they rest on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.shop.base import Verbs, moment_of

if TYPE_CHECKING:
    from shoal.shop.base import Moment
    from shoal.workflows.progress import Progress


class ProbeVerbs(Verbs):
    """What the behaviour model sees."""

    def probe(
        self,
        *,
        model: str | None = None,
        as_of: Moment | None = None,
        horizon_days: int | None = None,
        customer: str | None = None,
        item: str | None = None,
        seed: int = 0,
        table_version: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """How well embeddings foretell a window, and how they lie: the document `shoal.probe/1`.

        With a customer: which events the embedding rests on, and the nearest customers; with an
        item: the nearest items.

        Args:
            model: its id; None for the current one.
            as_of: T; None for just after the latest event.
            horizon_days: outcomes are those of so many days before T, inputs those known before
                them; None: 28, or a quarter of a shorter log.
            seed: of what is random.

        Raises:
            UsageError: `unknown_model`, `unknown_customer`, `unknown_item`, `bad_period`.
            InputError: `too_little_data`; `mixed_currencies` or `rates_missing`, where spend of all
                customers is asked about.
            OperationError: `artefact_damaged`, `model_mismatch`, `missing_extra`.
        """
        from shoal.workflows.probe import probe

        self._finish_erasures(reading=True)
        moment = moment_of(as_of)
        if customer is None and item is None:
            self._one_currency(moment, table_version)
        return probe(
            **self._applied(),
            model=model,
            as_of=moment,
            horizon_days=horizon_days,
            customer=customer,
            item=item,
            seed=seed,
            version=table_version,
            progress=progress,
        )
