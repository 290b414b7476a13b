"""The verb that steps through the log: what would have been said, had one looked then."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal.shop.base import Moment
    from shoal.workflows.progress import Progress
    from shoal.workflows.replay import Replay
    from shoal.workflows.replay_adjust import Adjusting
    from shoal.workflows.replay_cut import Cut
    from shoal.workflows.replay_files import Replayed


class ReplayVerbs(Verbs):
    """Segments as they would have been, cut by cut."""

    def replay(
        self,
        from_: Moment,
        to: Moment,
        *,
        every: str | timedelta = "7d",
        method: str = "kmeans",
        k: int | None = None,
        refit: str | timedelta | None = None,
        seed: int | None = None,
        margin: float | None = None,
        on: str | None = None,
        aim: str | None = None,
        adjust: bool | Adjusting = False,
        progress: Progress | None = None,
    ) -> Iterator[Cut]:
        """Segment at every cut from one moment to another, with only what was known then.

        Nothing of the shop changes. Where a cut has too few customers, its `skipped` says so.

        Args:
            every: from cut to cut: `7d`, `12h`, `2w`.
            method: one that `segment` knows, such as `kmeans` or `rfm`.
            k: number of segments; None: the configured one, or chosen at every learning.
            refit: `each` (None): every cut learns; `first`: the first one does and the others apply
                it; `28d`: a cut learns where so long has passed since the last that did.
            margin: between two learnings, a customer changes only to a segment that weighs more by
                more than this; None: the configured one (`segment.switch_margin`).
            on: what segments are made on: `features` (None), `embedding` of the current behaviour
                model, or `both`. A cut before the model's end of training warns.
            aim: what they are for, as in `segment`.
            adjust: the first cut learns, and from there on segments adjust as the nightly job would
                have let them (`adjust`); a cut's `adjusted` tells what was noticed and done. With
                `shoal.workflows.replay_adjust.Adjusting` by other settings than the shop's.

        Raises:
            UsageError: `bad_period`, `bad_time`, `unknown_method`, `usage`; before the first cut.
            InputError: `too_little_data`, the shop is empty, or every cut was skipped (at the end);
                `mixed_currencies`, `rates_missing`.
        """
        return self._replay(
            from_, to, every, method, k, refit, seed, margin, on, aim, adjust, progress
        ).cuts(progress)

    def write_replay(
        self,
        out: str | Path | None,
        from_: Moment,
        to: Moment,
        *,
        every: str | timedelta = "7d",
        method: str = "kmeans",
        k: int | None = None,
        refit: str | timedelta | None = None,
        seed: int | None = None,
        margin: float | None = None,
        on: str | None = None,
        aim: str | None = None,
        adjust: bool | Adjusting = False,
        progress: Progress | None = None,
    ) -> Replayed:
        """As `replay`, and write who belonged where at every cut; a row a cut comes back.

        Args:
            out: a name that ends in `.parquet`: one file. Else a folder with a file a cut and
                `replay.json`; interrupted and called again with the same arguments, cuts that are
                finished are kept. None: nothing is written.

        Raises:
            UsageError: also `unknown_format`, and `usage` for a folder with other cuts.
        """
        from shoal.workflows.replay_files import Replayed, is_one_file, write_file, write_folder

        one_file = out is not None and is_one_file(Path(out))
        replay = self._replay(
            from_, to, every, method, k, refit, seed, margin, on, aim, adjust, progress
        )
        if out is None:
            return Replayed(replay.steps, [cut.as_document() for cut in replay.cuts(progress)])
        path = Path(out)
        if one_file:
            return self._listed(
                path, "replay", lambda: write_file(replay, path, progress), lambda _: path
            )

        def listing(file: Path, write: Callable[[], Cut]) -> Cut:
            return self._listed(file, "replay", write, lambda _: file)

        return write_folder(replay, path, listing, progress)

    def _replay(
        self,
        from_: Moment,
        to: Moment,
        every: str | timedelta,
        method: str,
        k: int | None,
        refit: str | timedelta | None,
        seed: int | None,
        margin: float | None,
        on: str | None,
        aim: str | None,
        adjust: bool | Adjusting,
        progress: Progress | None,
    ) -> Replay:
        from shoal.domain.time import parse_moment, parse_span, span_text
        from shoal.segments.inputs import FEATURES
        from shoal.workflows.embedded import in_use
        from shoal.workflows.replay import Replay
        from shoal.workflows.replay_adjust import Adjusting
        from shoal.workflows.replay_steps import EACH, FIRST, Steps

        settings, parts = self.config.segment, self._parts
        made_on = FEATURES if on is None or method == "rfm" else on
        made_on, model = in_use(parts.store, parts.registry, parts.fold, made_on)
        if k is None:
            k = 0 if method == "rfm" else settings.k
        if refit is None:
            refit = FIRST if adjust else EACH
        adjusting = Adjusting(self.config.adjust) if adjust is True else adjust or None
        steps = Steps(
            parse_moment(from_),
            parse_moment(to),
            parse_span(every),
            method,
            k,
            span_text(refit) if isinstance(refit, timedelta) else refit,
            settings.seed if seed is None else seed,
            settings.switch_margin if margin is None else margin,
            made_on,
            aim,
            adjusting is not None,
        )
        self.catch_up(progress, reading=True)
        self._one_currency(steps.until)
        return Replay(
            warehouse=parts.warehouse,
            fold=parts.fold,
            zone=self.zone,
            admission=parts.admission,
            steps=steps,
            settings=settings,
            model=model,
            adjusting=adjusting,
        )
