"""All peers by name. Settings come with a word on where they come from."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from bench.peers.base import Columns, Spec

_KMEANS = "bench.peers.clusterers"
_EMBEDDED = "bench.peers.shoal_embedded"

_SHOAL = "bench.peers.shoal_"


def _adjust(name: str, title: str, **settings: Any) -> Spec:
    return Spec(
        name, f"Shoal, adjusted weekly{title}", _SHOAL, "ShoalAdjust", tuple(settings.items()),
        needs_shop=True, moves=True, distances=False, lineage=True,
    )  # fmt: skip


#: Shoal with adjustment, and without one part of it each.
_ADJUSTED = (
    _adjust("shoal-adjust", ""),
    _adjust("shoal-adjust-style", ", --aim style", aim="style"),
    _adjust("shoal-adjust-both", ", on embedding and features", on="both"),
    _adjust("shoal-adjust-style-nomargin", ", --aim style, without the margin", aim="style",
            margin=0.0),
    _adjust("shoal-adjust-style-noidentity", ", --aim style, without identity", aim="style",
            identity=False),
    _adjust("shoal-adjust-style-noonline", ", --aim style, without online learning", aim="style",
            without=("nudge",)),
    _adjust("shoal-adjust-style-nodrift", ", --aim style, without drift detection", aim="style",
            watch=False),
)  # fmt: skip

SPECS: dict[str, Spec] = {
    spec.name: spec
    for spec in (
        Spec("rfm-grid", "RFM grid (quintile rules)", "bench.peers.rules", "RfmGrid", inputs="rfm",
             distances=False),
        Spec("kmeans-rfm", "k-means on RFM, frozen", _KMEANS, "kmeans", inputs="rfm"),
        Spec("kmeans-rfm-refit", "k-means on RFM, monthly refit", "bench.peers.refit",
             "kmeans_refit", inputs="rfm", moves=True),
        Spec("kmeans-rfm-matched", "k-means on RFM, monthly refit and matching",
             "bench.peers.refit", "kmeans_matched", inputs="rfm", moves=True, lineage=True),
        Spec("kmeans", "k-means on features, frozen", _KMEANS, "kmeans"),
        Spec("kmeans-refit", "k-means on features, monthly refit", "bench.peers.refit",
             "kmeans_refit", moves=True),
        Spec("kmeans-matched", "k-means on features, monthly refit and matching",
             "bench.peers.refit", "kmeans_matched", moves=True, lineage=True),
        Spec("never", "never switches (first label kept)", "bench.peers.rules", "NeverSwitches"),
        Spec("lightgbm-bins", "bins of a LightGBM score", "bench.peers.supervised",
             "LightGbmBins", supervised=True, distances=False),
        Spec("cart-leaves", "leaves of a CART", "bench.peers.supervised", "CartLeaves",
             supervised=True, distances=False),
        Spec("minibatch", "MiniBatchKMeans, partial_fit at every cut", _KMEANS, "MiniBatch",
             moves=True),
        Spec("gmm", "Gaussian mixture, frozen", _KMEANS, "gaussian_mixture"),
        Spec("kmeans-silhouette", "k-means on features, k by silhouette, frozen", _KMEANS,
             "kmeans_silhouette"),
        Spec("gmm-bic", "Gaussian mixture, k by BIC, frozen", _KMEANS, "mixture_bic"),
        Spec("birch", "Birch, partial_fit at every cut", _KMEANS, "BirchPeer", moves=True),
        Spec("river-kmeans", "river KMeans", "bench.peers.river_", "RiverPeer",
             (("algorithm", "KMeans"),), moves=True, environment="river"),
        Spec("river-streamkmeans", "river STREAMKMeans", "bench.peers.river_", "RiverPeer",
             (("algorithm", "STREAMKMeans"),), moves=True, environment="river"),
        Spec("river-clustream", "river CluStream", "bench.peers.river_", "RiverPeer",
             (("algorithm", "CluStream"),), moves=True, environment="river"),
        Spec("river-denstream", "river DenStream", "bench.peers.river_", "RiverPeer",
             (("algorithm", "DenStream"),), moves=True, environment="river"),
        Spec("river-dbstream", "river DBSTREAM", "bench.peers.river_", "RiverPeer",
             (("algorithm", "DBSTREAM"),), moves=True, environment="river"),
        Spec("shoal", "Shoal, frozen", "bench.peers.shoal_", "ShoalFrozen",
             needs_shop=True, distances=False),
        Spec("shoal-chosen", "Shoal, k chosen by Shoal, frozen",
             "bench.peers.shoal_", "ShoalFrozen", (("choose", True),), needs_shop=True,
             distances=False),
        Spec("shoal-refit", "Shoal, segmented anew each month", "bench.peers.shoal_",
             "ShoalRefit", needs_shop=True, moves=True, distances=False),
        Spec("shoal-style", "Shoal, --aim style, frozen", "bench.peers.shoal_", "ShoalFrozen",
             (("aim", "style"),), needs_shop=True, distances=False),
        Spec("shoal-style-chosen", "Shoal, --aim style, k chosen by Shoal, frozen",
             "bench.peers.shoal_", "ShoalFrozen", (("choose", True), ("aim", "style")),
             needs_shop=True, distances=False),
        Spec("shoal-style-refit", "Shoal, --aim style, segmented anew each month",
             "bench.peers.shoal_", "ShoalRefit", (("aim", "style"),), needs_shop=True, moves=True,
             distances=False),
        *_ADJUSTED,
        Spec("shoal-embedding", "Shoal on the embedding, frozen", _EMBEDDED, "ShoalEmbedded",
             needs_shop=True, distances=False),
        Spec("shoal-embedding-chosen", "Shoal on the embedding, k chosen by Shoal, frozen",
             _EMBEDDED, "ShoalEmbedded", (("choose", True),), needs_shop=True, distances=False),
        Spec("shoal-embedding-refit", "Shoal on the embedding, segmented anew each month",
             _EMBEDDED, "ShoalEmbedded", (("refit", "28d"),), needs_shop=True, moves=True,
             distances=False),
        Spec("shoal-both", "Shoal on embedding and features, frozen", _EMBEDDED, "ShoalEmbedded",
             (("on", "both"),), needs_shop=True, distances=False),
        Spec("shoal-both-chosen", "Shoal on embedding and features, k chosen by Shoal, frozen",
             _EMBEDDED, "ShoalEmbedded", (("on", "both"), ("choose", True)), needs_shop=True,
             distances=False),
    )
}  # fmt: skip

NAMES = tuple(SPECS)
#: Those that need a behaviour model.
EMBEDDED = tuple(name for name, spec in SPECS.items() if spec.module == _EMBEDDED)


def make(name: str, columns: Columns = "all") -> Any:
    """A fresh peer of that name (`bench.peers.base.Peer`; those that need a shop have the face of
    `bench.peers.shoal_`).

    Args:
        columns: of peers that measure distances between features: `all` or `style`.

    Raises:
        KeyError: no such peer.
        ImportError: what it needs is not installed.
    """
    spec = SPECS[name]
    settings = dict(spec.settings)
    if not spec.needs_shop:
        settings["inputs"] = spec.inputs
    if spec.distances and spec.inputs == "features":
        settings["columns"] = columns
    peer = getattr(import_module(spec.module), spec.factory)(**settings)
    peer.name = name
    return peer
