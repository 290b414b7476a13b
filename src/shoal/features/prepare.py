"""From a table of features to a matrix worth clustering, in scikit-learn compatible parts.

The order of the parts: `MissingFiller` (what is undefined gets a stated value), `SkewScaler` (long
tails pulled in, robust scale), `NearDuplicateFilter` (no fact counted twice), `GroupBalance` (no
group of features outvotes another by its number of columns), `VariancePCA` (a stated share of the
variance). Every part works on numpy arrays and pandas frames, does not depend on the order of the
rows, and is written to JSON and plain arrays by `dump` (nothing is pickled).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata, yeojohnson
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.feature_selection import SelectorMixin
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from shoal.features.matrix import LARGEST, MEDIAN, ZERO
from shoal.features.row_order import canonical_order, sample_rows

Matrix = npt.NDArray[np.float64]

POLICIES: Final = (ZERO, LARGEST, MEDIAN)

#: Standard deviations of a normal distribution in its interquartile range.
_IQR_OF_NORMAL: Final = 1.3489795003921634


class MissingFiller(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Give undefined values (NaN) a stated value per feature.

    Args:
        policies: one of `POLICIES` a column. `zero`: undefined means none of it; `largest`:
            undefined means never, as far as the farthest known; `median`: undefined tells nothing
            and moves the customer nowhere. None: `median` for all.

    A column without any value is filled with 0 (and later dropped as constant).

    >>> MissingFiller(["largest", "median"]).fit_transform([[3.0, 1.0], [np.nan, np.nan]])
    array([[3., 1.],
           [3., 1.]])
    """

    _state = ("fill_values_",)

    def __init__(self, policies: Sequence[str] | None = None) -> None:
        self.policies = policies

    def fit(self, X: Any, y: Any = None) -> Self:
        X = _checked(self, X, reset=True, allow_nan=True)
        policies = [MEDIAN] * X.shape[1] if self.policies is None else list(self.policies)
        if len(policies) != X.shape[1]:
            raise ValueError(f"policies has {len(policies)} entries for {X.shape[1]} features")
        unknown = sorted(set(policies) - set(POLICIES))
        if unknown:
            raise ValueError(f"unknown policies {unknown}; allowed: {', '.join(POLICIES)}")
        self.fill_values_ = np.array(
            [_fill_value(column, policy) for column, policy in zip(X.T, policies, strict=True)]
        )
        return self

    def transform(self, X: Any) -> Matrix:
        """The matrix without NaN, shape unchanged."""
        check_is_fitted(self)
        X = _checked(self, X, reset=False, allow_nan=True)
        return np.where(np.isnan(X), self.fill_values_, X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags


def _fill_value(column: Matrix, policy: str) -> float:
    known = column[~np.isnan(column)]
    if policy == ZERO or not len(known):
        return 0.0
    return float(known.max() if policy == LARGEST else np.median(known))


class SkewScaler(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Pull in long tails, then centre and scale robustly, then clip.

    A feature whose absolute skewness exceeds `skew_limit` is bent first: `signed_log` is
    sign(x) log(1 + |x| / s) with s the median of the non-zero |x|; `yeo-johnson` is the power
    transformation of Yeo and Johnson (2000) fitted by maximum likelihood. Then
    (x - median) / (IQR / 1.349), so that a normal feature gets unit deviation; a feature whose
    quartiles coincide is scaled by its standard deviation instead; and +-`clip` is the farthest a
    value may lie, so that one outlier cannot be a segment.

    Args:
        method: `signed_log`, `yeo-johnson` or `none`.
        skew_limit: absolute skewness (third standardised moment) beyond which a feature is bent.
        clip: bound on scaled values, in robust deviations.
    """

    _state = ("bent_", "shape_", "center_", "scale_")

    def __init__(
        self, method: str = "signed_log", skew_limit: float = 1.0, clip: float = 4.0
    ) -> None:
        self.method = method
        self.skew_limit = skew_limit
        self.clip = clip

    def fit(self, X: Any, y: Any = None) -> Self:
        if self.method not in {"signed_log", "yeo-johnson", "none"}:
            raise ValueError(
                f"unknown method {self.method!r}; allowed: signed_log, yeo-johnson, none"
            )
        return self._learn(_checked(self, X, reset=True))

    def _learn(self, X: Matrix) -> Self:
        X = X[canonical_order(X)]
        spread = X.std(axis=0)
        safe = np.where(spread > 0, spread, 1.0)
        skew = np.mean(((X - X.mean(axis=0)) / safe) ** 3, axis=0)
        self.bent_ = (np.abs(skew) > self.skew_limit) & (spread > 0) & (self.method != "none")
        self.shape_ = np.array(
            [
                self._shape(column) if bent else 1.0
                for column, bent in zip(X.T, self.bent_, strict=True)
            ]
        )
        X = self._bend(X)
        low, self.center_, high = np.percentile(X, [25, 50, 75], axis=0)
        spread = X.std(axis=0)
        robust = (high - low) / _IQR_OF_NORMAL
        # Quartiles that (nearly) coincide say nothing of the scale: most customers share a value.
        self.scale_ = np.where(robust > 0.1 * spread, robust, np.where(spread > 0, spread, 1.0))
        return self

    def transform(self, X: Any) -> Matrix:
        """Scaled values within +-clip, shape unchanged."""
        check_is_fitted(self)
        return self._clipped(_checked(self, X, reset=False))

    def scaled(self, X: Matrix) -> Matrix:
        """What `fit_transform` gives of (n, d) finite float64, which is not looked at: of single
        columns scikit-learn's checks take longer than the work."""
        return self._learn(X)._clipped(X)

    def _clipped(self, X: Matrix) -> Matrix:
        return np.clip((self._bend(X) - self.center_) / self.scale_, -self.clip, self.clip)

    def _shape(self, column: Matrix) -> float:
        if self.method == "yeo-johnson":
            return float(yeojohnson(column)[1])
        size = np.abs(column[column != 0])
        return float(np.median(size)) if len(size) else 1.0

    def _bend(self, X: Matrix) -> Matrix:
        X = X.copy()
        for place in np.flatnonzero(self.bent_):
            column, shape = X[:, place], self.shape_[place]
            if self.method == "yeo-johnson":
                X[:, place] = yeojohnson(column, lmbda=shape)
            else:
                X[:, place] = np.sign(column) * np.log1p(np.abs(column) / shape)
        return X


class NearDuplicateFilter(SelectorMixin, BaseEstimator):
    """Drop features that say nothing, or nothing that an earlier feature does not say.

    Of two features whose |Spearman rank correlation| exceeds `correlation_limit` the earlier
    column stays, so the order of the columns is the order of preference. A feature is near
    constant if one value holds more than `constant_share` of the rows. `dropped_` tells
    (feature, reason) of each dropped one. Correlations are taken on at most `max_rows` rows.

    >>> NearDuplicateFilter().fit([[1.0, 1.0], [2.0, 4.0], [3.0, 9.0], [4.0, 16.0]]).dropped_
    [('x1', 'says the same as x0 (rank correlation 1.00)')]
    """

    _state = ("support_",)

    def __init__(
        self,
        correlation_limit: float = 0.97,
        constant_share: float = 0.99,
        max_rows: int = 20_000,
        names: Sequence[str] | None = None,
    ) -> None:
        self.correlation_limit = correlation_limit
        self.constant_share = constant_share
        self.max_rows = max_rows
        self.names = names

    def fit(self, X: Any, y: Any = None) -> Self:
        X = _checked(self, X, reset=True)
        names = self._names(X.shape[1])
        X = X[sample_rows(X, self.max_rows, seed=0)]
        self.support_ = np.ones(X.shape[1], dtype=bool)
        self.dropped_: list[tuple[str, str]] = []
        for place, column in enumerate(X.T):
            share = _commonest_share(column)
            if len(X) > 1 and share > self.constant_share:
                self._drop(place, names, f"near constant: one value holds {share:.1%} of customers")
        self._drop_duplicates(X, names)
        if not self.support_.any():  # a matrix needs a column; the first one is as good as any
            self.support_[0] = True
            self.dropped_ = [one for one in self.dropped_ if one[0] != names[0]]
        return self

    def _drop_duplicates(self, X: Matrix, names: list[str]) -> None:
        kept = np.flatnonzero(self.support_)
        if len(kept) < 2 or len(X) < 3:
            return
        with np.errstate(invalid="ignore", divide="ignore"):
            correlation = np.corrcoef(rankdata(X[:, kept], axis=0), rowvar=False)
        for second in range(1, len(kept)):
            for first in range(second):
                value = correlation[first, second]
                if self.support_[kept[first]] and abs(value) > self.correlation_limit:
                    reason = f"says the same as {names[kept[first]]} (rank correlation {value:.2f})"
                    self._drop(kept[second], names, reason)
                    break

    def _drop(self, place: int, names: list[str], reason: str) -> None:
        self.support_[place] = False
        self.dropped_.append((names[place], reason))

    def _names(self, count: int) -> list[str]:
        if self.names is not None:
            return list(self.names)
        seen = getattr(self, "feature_names_in_", None)
        return [f"x{i}" for i in range(count)] if seen is None else [str(name) for name in seen]

    def _get_support_mask(self) -> npt.NDArray[np.bool_]:
        check_is_fitted(self)
        return self.support_


def _commonest_share(column: Matrix) -> float:
    _, counts = np.unique(column, return_counts=True)
    return float(counts.max() / len(column))


class GroupBalance(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Weigh groups of features so that each has the same say, times a stated weight.

    As in multiple factor analysis (Escofier and Pages, 1994) a group is divided by its first
    singular value: neither many columns nor many correlated columns give it more weight.

    Args:
        groups: a group a column; None: one group.
        weights: multiplies the columns of a group; groups not named get 1.
    """

    _state = ("weight_",)

    def __init__(
        self, groups: Sequence[str] | None = None, weights: Mapping[str, float] | None = None
    ) -> None:
        self.groups = groups
        self.weights = weights

    def fit(self, X: Any, y: Any = None) -> Self:
        X = _checked(self, X, reset=True)
        X = X[canonical_order(X)]
        groups = np.array(["all"] * X.shape[1] if self.groups is None else list(self.groups))
        if len(groups) != X.shape[1]:
            raise ValueError(f"groups has {len(groups)} entries for {X.shape[1]} features")
        self.weight_ = np.ones(X.shape[1])
        for group in np.unique(groups):
            own = groups == group
            block = X[:, own] - X[:, own].mean(axis=0)
            first = np.sqrt(np.linalg.eigvalsh(block.T @ block / len(block))[-1].clip(0))
            said = (self.weights or {}).get(str(group), 1.0)
            self.weight_[own] = said / first if first > 1e-9 else said
        return self

    def transform(self, X: Any) -> Matrix:
        """Weighted columns, shape unchanged."""
        check_is_fitted(self)
        return _checked(self, X, reset=False) * self.weight_


class VariancePCA(TransformerMixin, BaseEstimator):
    """Principal components that keep a stated share of the variance.

    Signs are fixed: the largest loading of a component is positive. `explained_share_` holds the
    share of variance of each kept component; their number is `n_components_`.
    """

    _state = ("mean_", "components_", "explained_share_")

    def __init__(self, variance_share: float = 0.9, max_components: int | None = None) -> None:
        self.variance_share = variance_share
        self.max_components = max_components

    def fit(self, X: Any, y: Any = None) -> Self:
        if not 0 < self.variance_share <= 1:
            raise ValueError(f"variance_share is {self.variance_share}; allowed: above 0, up to 1")
        X = _checked(self, X, reset=True)
        X = X[canonical_order(X)]
        self.mean_ = X.mean(axis=0)
        values, vectors = np.linalg.eigh((X - self.mean_).T @ (X - self.mean_) / len(X))
        values, vectors = values[::-1].clip(0), vectors[:, ::-1].T
        total = values.sum()
        share = values / total if total > 0 else np.zeros_like(values)
        wanted = int(np.searchsorted(np.cumsum(share), self.variance_share - 1e-12)) + 1
        count = min(wanted, self.max_components or wanted, len(values)) if total > 0 else 1
        vectors = vectors[:count]
        largest = np.argmax(np.round(np.abs(vectors), 9), axis=1)
        signs = np.sign(vectors[np.arange(count), largest])
        self.components_ = vectors * np.where(signs == 0, 1.0, signs)[:, None]
        self.explained_share_ = share[:count]
        return self

    @property
    def n_components_(self) -> int:
        return len(self.components_)

    @property
    def _n_features_out(self) -> int:
        return len(self.components_)

    def get_feature_names_out(self, input_features: Any = None) -> npt.NDArray[Any]:
        """component0, component1, ..."""
        check_is_fitted(self)
        return np.array([f"component{i}" for i in range(self.n_components_)], dtype=object)

    def transform(self, X: Any) -> Matrix:
        """(n, n_components_)."""
        check_is_fitted(self)
        return (_checked(self, X, reset=False) - self.mean_) @ self.components_.T


def _checked(part: BaseEstimator, X: Any, *, reset: bool, allow_nan: bool = False) -> Matrix:
    checked: Matrix = validate_data(
        part,
        X,
        reset=reset,
        dtype=np.float64,
        ensure_all_finite="allow-nan" if allow_nan else True,
    )
    return checked


_PARTS: Final = {
    part.__name__: part
    for part in (MissingFiller, SkewScaler, NearDuplicateFilter, GroupBalance, VariancePCA)
}


def dump(parts: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, npt.NDArray[Any]]]:
    """A fitted chain as JSON parameters and named arrays."""
    documents, arrays = [], {}
    for place, part in enumerate(parts):
        check_is_fitted(part)
        documents.append(
            {
                "part": type(part).__name__,
                "parameters": part.get_params(),
                "n_in": part.n_features_in_,
            }
        )
        for name in part._state:
            arrays[f"prepare.{place}.{name}"] = np.ascontiguousarray(getattr(part, name))
    return documents, arrays


def load(
    documents: Sequence[Mapping[str, Any]], arrays: Mapping[str, npt.NDArray[Any]]
) -> list[Any]:
    """The chain that `dump` wrote; it transforms to the same bits."""
    parts = []
    for place, document in enumerate(documents):
        part = _PARTS[document["part"]](**document["parameters"])
        part.n_features_in_ = document["n_in"]
        for name in part._state:
            setattr(part, name, np.array(arrays[f"prepare.{place}.{name}"]))
        parts.append(part)
    return parts
