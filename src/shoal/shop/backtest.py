"""The verb that says what the last months would have looked like: backtest."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from shoal.shop.base import Verbs

if TYPE_CHECKING:
    from shoal.config import Config
    from shoal.workflows.backtest import Backtest, Plan
    from shoal.workflows.progress import Progress
    from shoal.workflows.replay import Replay


class BacktestVerbs(Verbs):
    """Segments on the shop's own past."""

    def backtest(
        self,
        *,
        periods: int = 3,
        period_days: int = 28,
        every_days: int = 7,
        tune: int = 0,
        apply: bool = False,
        recorded: bool = False,
        against: str | None = None,
        seed: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Any]:
        """What the last periods would have looked like: with segments frozen at their beginning,
        made anew at each, and adjusted by Shoal.

        Nothing of the shop changes, but for its settings with `apply`.

        Args:
            periods: how many; `period_days` each, shorter ones of a shorter log.
            every_days: from cut to cut of the replays, at each of which segments may adjust.
            tune: trials of a search for the number of segments, half-life, margin and cadence on
                these periods; 0: none.
            apply: write what the search found into `shop.toml`.
            recorded: replay nothing: what live memberships foretold, as they are on record, beside
                the version `against` (None: the first on record) left as it was; of the periods
                those that began after it was made.
            seed: of segments and halves; None: the configured one.

        Returns:
            The JSON document `shoal.backtest/1`. By strategy: the share of what could be foretold
            of the next period, customers who changed segment a month (and for the segments'
            own change), segments kept, alarms, adjustments; by outcome: shares with intervals;
            `search` is None without one.

        Raises:
            UsageError: `usage`.
            InputError: `too_little_data`, `mixed_currencies`, `rates_missing`.
            OperationError: `missing_extra` (`tune`), `no_permission`, `disk_full` (`apply`).
        """
        from shoal.workflows.backtest_tune import Search, check_trials

        check_trials(tune, apply=apply)
        chosen = self.config.segment.seed if seed is None else seed
        if recorded or against is not None:
            return self._recorded(against, periods, period_days, tune, chosen, progress)
        self.catch_up(progress, reading=True)
        search: dict[str, Any] | None = None

        def of(config: Config) -> Backtest:
            return self._backtest(config, chosen, every_days, None)

        document = self._backtest(self.config, chosen, every_days, progress).run(
            periods, period_days=period_days
        )
        if tune:
            search = Search(self.config, of, chosen, progress or _none()).run(tune, periods)
            if apply:
                self._write(search["setting"])
                search["applied"] = True
        return {**document, "search": search}

    def _recorded(
        self,
        against: str | None,
        periods: int,
        period_days: int,
        tune: int,
        seed: int,
        progress: Progress | None,
    ) -> dict[str, Any]:
        from shoal.domain.errors import UsageError
        from shoal.workflows.backtest_recorded import Recorded

        if tune:
            raise UsageError(
                "usage",
                "what is on record was made with the settings of its time",
                hint="Search on a replay: leave out --recorded and --against, or --tune.",
            )
        self.catch_up(progress, reading=True)
        self._one_currency(None)
        parts = self._parts
        found = Recorded(
            warehouse=parts.warehouse, store=parts.store, registry=parts.registry, fold=parts.fold,
            zone=self.zone, admission=parts.admission, settings=self.config.segment, seed=seed,
            progress=progress or _none(),
        ).run(against, periods, period_days=period_days)  # fmt: skip
        return {**found, "search": None}

    def _backtest(
        self, config: Config, seed: int, every_days: int, progress: Progress | None
    ) -> Backtest:
        from shoal.workflows.backtest import Backtest

        def replays(strategy: str, plan: Plan, every: int) -> Replay:
            return self._strategy(config, strategy, plan, every, seed)

        parts = self._parts
        return Backtest(
            warehouse=parts.warehouse, fold=parts.fold, admission=parts.admission,
            settings=config.segment, replays=replays, every_days=every_days, seed=seed,
            progress=progress or _none(),
        )  # fmt: skip

    def _strategy(
        self, config: Config, strategy: str, plan: Plan, every_days: int, seed: int
    ) -> Replay:
        """The replay of a strategy, on what segments are made on in this shop."""
        from shoal.workflows.backtest import MONTHLY, SHOAL
        from shoal.workflows.replay import Replay
        from shoal.workflows.replay_adjust import Adjusting
        from shoal.workflows.replay_steps import FIRST, Steps

        parts, settings = self._parts, config.segment
        steps = Steps(
            plan.first, plan.ends, timedelta(days=every_days), k=settings.k,
            refit=f"{plan.days}d" if strategy == MONTHLY else FIRST, seed=seed,
            margin=settings.switch_margin, adjust=strategy == SHOAL,
        )  # fmt: skip
        self._one_currency(plan.ends)
        return Replay(
            warehouse=parts.warehouse, fold=parts.fold, zone=self.zone, admission=parts.admission,
            steps=steps, settings=settings,
            adjusting=Adjusting(config.adjust, approve=True) if strategy == SHOAL else None,
        )  # fmt: skip

    def _write(self, setting: dict[str, Any]) -> None:
        """Put a setting into `shop.toml`; a kill leaves the old file or the new one, never half."""
        from shoal.config import FILE_NAME, parse
        from shoal.workflows.backtest_tune import Setting, with_values

        path = self.directory / FILE_NAME
        text = with_values(path.read_text(encoding="utf-8"), Setting(**setting).sections)
        parse(text)
        aside = path.with_name(f".{FILE_NAME}.part")
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)


def _none() -> Progress:
    from shoal.workflows.progress import NoProgress

    return NoProgress()
