"""The catalog: every feature, by group, as data."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from shoal.features import (
    catalog_behaviour,
    catalog_interaction,
    catalog_interest,
    catalog_profile,
    catalog_windows,
)
from shoal.features.algebra import Feature, Summary
from shoal.features.covariates import CovariateTable, covariate_features, covariate_summaries
from shoal.features.grains import COARSER, GRAINS

GROUPS: Final = ("behaviour", "interest", "profile", "interaction", "outside")
_PARTS: Final = (
    catalog_behaviour, catalog_windows, catalog_interest, catalog_profile, catalog_interaction,
)  # fmt: skip


@dataclass(frozen=True)
class Catalog:
    """Features in the order of a snapshot's columns, and the summaries they use."""

    features: tuple[Feature, ...]
    summaries: tuple[Summary, ...]
    traits: tuple[str, ...] = ()
    covariates: tuple[CovariateTable, ...] = ()

    def __post_init__(self) -> None:
        for what in (self.features, self.summaries):
            names = [one.name for one in what]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"catalog: defined more than once: {', '.join(twice)}")

    def __iter__(self) -> Iterator[Feature]:
        return iter(self.features)

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, name: str) -> Feature:
        return self._by_name[name]

    def __contains__(self, name: object) -> bool:
        return name in self._by_name

    @cached_property
    def _by_name(self) -> Mapping[str, Feature]:
        return {feature.name: feature for feature in self.features}

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all features, in order."""
        return tuple(feature.name for feature in self.features)

    def numeric_features(self, *groups: str) -> tuple[Feature, ...]:
        """Features that hold numbers, of some groups or of all."""
        return tuple(
            feature
            for feature in self.features
            if feature.type != "text" and (not groups or feature.group in groups)
        )

    def text_features(self) -> tuple[Feature, ...]:
        """Features that hold a text."""
        return tuple(feature for feature in self.features if feature.type == "text")

    def with_traits(self, traits: tuple[str, ...]) -> Catalog:
        """The catalog with one text feature `trait_<name>` more for each declared trait."""
        new = tuple(name for name in dict.fromkeys(traits) if name not in self.traits)
        return Catalog(
            self.features + tuple(catalog_profile.trait_feature(name) for name in new),
            self.summaries + tuple(catalog_profile.trait_summary(name) for name in new),
            self.traits + new,
            self.covariates,
        )

    def with_covariates(self, tables: tuple[CovariateTable, ...]) -> Catalog:
        """The catalog with the features of covariates more."""
        return Catalog(
            self.features + tuple(one for table in tables for one in covariate_features(table)),
            self.summaries + tuple(one for table in tables for one in covariate_summaries(table)),
            self.traits,
            self.covariates + tables,
        )

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits that change when any definition of a number changes; texts do not count."""
        definitions = [
            *(repr(grain) for grain in GRAINS),
            *(repr(coarser) for coarser in COARSER),
            *(repr(summary) for summary in self.summaries),
            *(f"{one.name}|{one.unit}|{one.type}|{one.finish!r}" for one in self.features),
        ]
        return hashlib.sha256("\n".join(definitions).encode()).hexdigest()[:16]


#: All features but the traits that a shop declares (`Catalog.with_traits`).
CATALOG: Final = Catalog(
    features=tuple(
        sorted(
            (feature for part in _PARTS for feature in part.FEATURES),
            key=lambda feature: GROUPS.index(feature.group),
        )
    ),
    summaries=tuple(summary for part in _PARTS for summary in part.SUMMARIES),
)
