"""The simulated shop's items: a category tree, brands, prices, titles in English and Chinese."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from shoal.events.worlds.segments import TOPS

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# top/middle/leaf -> (median price in currency units, English noun, Chinese noun)
_LEAVES: Final[dict[str, tuple[float, str, str]]] = {
    "fashion/women/dresses": (49, "dress", "连衣裙"),
    "fashion/women/shoes": (65, "ankle boots", "短靴"),
    "fashion/men/shirts": (39, "shirt", "衬衫"),
    "fashion/men/jackets": (95, "jacket", "夹克"),
    "fashion/accessories/bags": (58, "shoulder bag", "单肩包"),
    "fashion/accessories/scarves": (24, "scarf", "围巾"),
    "electronics/phones/handsets": (389, "phone", "手机"),
    "electronics/phones/cases": (19, "phone case", "手机壳"),
    "electronics/audio/headphones": (89, "headphones", "耳机"),
    "electronics/audio/speakers": (119, "speaker", "音箱"),
    "electronics/computing/keyboards": (59, "keyboard", "键盘"),
    "electronics/computing/monitors": (219, "monitor", "显示器"),
    "home/kitchen/pans": (34, "frying pan", "平底锅"),
    "home/kitchen/knives": (45, "kitchen knife", "菜刀"),
    "home/living/lamps": (48, "table lamp", "台灯"),
    "home/living/cushions": (18, "cushion", "靠垫"),
    "home/garden/planters": (27, "planter", "花盆"),
    "home/garden/tools": (32, "garden shears", "园艺剪"),
    "grocery/drinks/coffee": (11, "coffee beans", "咖啡豆"),
    "grocery/drinks/tea": (8, "green tea", "绿茶"),
    "grocery/pantry/pasta": (4, "pasta", "意大利面"),
    "grocery/pantry/oil": (12, "olive oil", "橄榄油"),
    "grocery/snacks/chocolate": (5, "chocolate", "巧克力"),
    "grocery/snacks/nuts": (7, "roasted nuts", "坚果"),
    "beauty/skin/creams": (22, "face cream", "面霜"),
    "beauty/skin/serums": (31, "serum", "精华液"),
    "beauty/hair/shampoo": (9, "shampoo", "洗发水"),
    "beauty/hair/dryers": (48, "hair dryer", "吹风机"),
    "beauty/makeup/lipstick": (16, "lipstick", "口红"),
    "beauty/makeup/mascara": (14, "mascara", "睫毛膏"),
    "kids/toys/blocks": (29, "building blocks", "积木"),
    "kids/toys/puzzles": (15, "puzzle", "拼图"),
    "kids/baby/nappies": (21, "nappies", "纸尿裤"),
    "kids/baby/bottles": (12, "baby bottle", "奶瓶"),
    "kids/clothing/pyjamas": (19, "pyjamas", "睡衣"),
    "kids/clothing/raincoats": (34, "raincoat", "雨衣"),
    "media/books/novels": (13, "novel", "小说"),
    "media/books/comics": (10, "comic", "漫画"),
    "media/games/board": (35, "board game", "桌游"),
    "media/games/video": (55, "video game", "电子游戏"),
    "media/music/vinyl": (26, "vinyl record", "黑胶唱片"),
    "media/music/scores": (17, "sheet music", "乐谱"),
    "sports/running/shoes": (98, "running shoes", "跑鞋"),
    "sports/running/socks": (12, "running socks", "跑步袜"),
    "sports/cycling/helmets": (64, "cycling helmet", "骑行头盔"),
    "sports/cycling/lights": (29, "bike light", "车灯"),
    "sports/outdoor/tents": (149, "tent", "帐篷"),
    "sports/outdoor/bottles": (18, "water bottle", "水壶"),
}
# top category -> brands, cheapest first
_BRANDS: Final[dict[str, tuple[str, ...]]] = {
    "fashion": ("Basico", "Marlow", "Nordlin", "Velour", "Hanami", "Corvina"),
    "electronics": ("Kilo", "Pixon", "Soniq", "Tanuki", "Auralis", "Vectra"),
    "home": ("Hemma", "Oakline", "Lumo", "Casa Brava", "Yuanmu", "Stellan"),
    "grocery": ("Daily", "Good Acre", "Farmhand", "Verde", "Lao Shan", "Monte Alto"),
    "beauty": ("Puro", "Lilac", "Mei", "Dermia", "Solenne", "Aurum"),
    "kids": ("Bambo", "Tiny Fox", "Klotz", "Panda & Co", "Lullaby", "Wunder"),
    "media": ("Penny Press", "Arcadia", "Lantern", "Inkstone", "Northlight", "Folio"),
    "sports": ("Strida", "Kite", "Alpin", "Long March", "Ventoux", "Apex"),
}
_WORDS: Final = (
    ("classic", "经典"), ("light", "轻便"), ("soft", "柔软"), ("red", "红色"), ("blue", "蓝色"),
    ("green", "绿色"), ("black", "黑色"), ("white", "白色"), ("compact", "小巧"),
    ("large", "大号"), ("natural", "天然"), ("premium", "高级"), ("everyday", "日常"),
    ("travel", "旅行"), ("winter", "冬季"), ("summer", "夏季"), ("gift", "礼品"),
    ("limited", "限量"), ("recycled", "环保"), ("handmade", "手工"),
)  # fmt: skip
_CHINESE_SHARE: Final = 0.2
_PRICE_SIGMA: Final = 0.45
_MIDDLE_PRICE: Final = float(np.median([price for price, _, _ in _LEAVES.values()]))
_BRAND_STEP: Final = 0.14


def digest() -> str:
    """sha256 of the catalogue's declarations, in hex."""
    declared = (TOPS, _LEAVES, _BRANDS, _WORDS, _CHINESE_SHARE, _PRICE_SIGMA, _BRAND_STEP)
    return hashlib.sha256(repr(declared).encode()).hexdigest()


@dataclass(frozen=True)
class Shelf:
    """Items in groups, ordered by price inside a group, to be drawn by price quantile.

    A draw is `order[searchsorted(edges, group + quantile)]`: each item owns a stretch of [0, 1) of
    its group, as long as its popularity, so that popular items are met more often.
    """

    order: Ints
    edges: Floats

    @classmethod
    def stock(cls, group: Ints, price: Ints, popularity: Floats) -> Shelf:
        """Arrange items (`group`, `price`, `popularity`: one entry an item) on a shelf."""
        order = np.lexsort((price, group))
        sorted_group = group[order]
        weight = popularity[order]
        total = np.bincount(sorted_group, weights=weight, minlength=int(group.max()) + 1)
        before = np.concatenate(([0.0], np.cumsum(total)[:-1]))
        inside = (np.cumsum(weight) - before[sorted_group]) / total[sorted_group]
        last = np.append(sorted_group[1:] != sorted_group[:-1], True)
        inside[last] = 1.0
        return cls(order=order, edges=sorted_group + inside)

    def draw(self, group: Ints, quantile: Floats) -> Ints:
        """Item indices for groups and price quantiles in [0, 1)."""
        return self.order[np.searchsorted(self.edges, group + quantile, side="right")]


@dataclass(frozen=True)
class Catalogue:
    """All items of a shop, one entry each; `leaf`, `brand` index the name tuples."""

    leaf: Ints
    brand: Ints
    price_cents: Ints
    popularity: Floats
    quality: Floats
    #: share of the log after which an item arrives; 0 for those there from the start
    arrives: Floats
    titles: tuple[str, ...]
    leaf_names: tuple[str, ...]
    brand_names: tuple[str, ...]

    @cached_property
    def top(self) -> Ints:
        """Index into `TOPS` of each item."""
        tops = np.array([TOPS.index(name.split("/")[0]) for name in self.leaf_names])
        return tops[self.leaf]

    @cached_property
    def stand_in(self) -> Ints:
        """For each item, one of its leaf that is there from the start, of the nearest price."""
        found = np.arange(len(self.leaf))
        for leaf in range(len(self.leaf_names)):
            own = np.flatnonzero(self.leaf == leaf)
            ready = own[self.arrives[own] == 0]
            if not len(ready):
                continue
            ready = ready[np.argsort(self.price_cents[ready], kind="stable")]
            place = np.searchsorted(self.price_cents[ready], self.price_cents[own])
            found[own] = ready[np.minimum(place, len(ready) - 1)]
        return found

    @cached_property
    def by_leaf(self) -> Shelf:
        """Items within their leaf category."""
        return Shelf.stock(self.leaf, self.price_cents, self.popularity)

    @cached_property
    def by_brand(self) -> Shelf:
        """Items within their brand (a brand belongs to one top category)."""
        return Shelf.stock(self.brand, self.price_cents, self.popularity)

    @cached_property
    def leaf_shelf(self) -> Shelf:
        """Leaves within their top category, the more popular ones met more often."""
        tops = np.array([TOPS.index(name.split("/")[0]) for name in self.leaf_names])
        weight = np.asarray(1.0 / (1.0 + np.arange(len(tops)) % 6) ** 0.5, np.float64)
        return Shelf.stock(tops, np.arange(len(tops)), weight)

    @cached_property
    def queries(self) -> tuple[str, ...]:
        """Search texts; the three of leaf `l` are at 3l (plain), 3l+1 (cheap), 3l+2 (Chinese)."""
        texts: list[str] = []
        for name in self.leaf_names:
            _, noun, chinese = _LEAVES[name]
            texts += [noun, f"cheap {noun}", chinese]
        return tuple(texts)


def brands_per_top() -> int:
    """How many brands each top category has."""
    return len(_BRANDS[TOPS[0]])


def build(
    items: int, rng: np.random.Generator, *, price_scale: float = 1.0, price_spread: float = 1.0,
    concentration: float = 0.8, arriving: float = 0.0,
) -> Catalogue:  # fmt: skip
    """Draw a catalogue of `items` items (at least one a leaf and brand where `items` allows).

    Args:
        price_scale: times the usual prices.
        price_spread: exponent on a price over the middle of the usual ones.
        concentration: popularity falls with rank to the power of minus this.
        arriving: share of items that arrive while the log runs, evenly over it.
    """
    leaf_names = tuple(_LEAVES)
    brand_names = tuple(brand for top in TOPS for brand in _BRANDS[top])
    per_top = brands_per_top()
    number = np.arange(items)
    leaf = number % len(leaf_names)
    top = np.array([TOPS.index(name.split("/")[0]) for name in leaf_names])[leaf]
    rank = (number // len(leaf_names) + leaf) % per_top
    median = np.array([_LEAVES[name][0] for name in leaf_names])[leaf]
    dearer = np.exp(_BRAND_STEP * (rank - (per_top - 1) / 2))
    price = price_scale * median * dearer * np.exp(_PRICE_SIGMA * rng.standard_normal(items))
    if price_spread != 1.0:
        middle = price_scale * _MIDDLE_PRICE
        price = middle * (price / middle) ** price_spread
    cents = np.maximum(np.round(price) * 100 - 1, 99).astype(np.int64)
    popularity = np.asarray(1.0 / (1.0 + rng.permutation(items)) ** concentration, np.float64)
    quality = np.clip(rng.normal(0.0, 0.5, items), -1.2, 1.2)
    word = rng.integers(0, len(_WORDS), items)
    chinese = rng.random(items) < _CHINESE_SHARE
    # The first of each leaf and brand are always there.
    late = (rng.random(items) < arriving) & (number >= len(leaf_names) * per_top)
    arrives = np.where(late, 0.02 + 0.96 * rng.random(items), 0.0)
    titles = tuple(
        _title(leaf_names[a], brand_names[b], int(w), bool(z))
        for a, b, w, z in zip(leaf, top * per_top + rank, word, chinese, strict=True)
    )
    return Catalogue(
        leaf=leaf, brand=top * per_top + rank, price_cents=cents, popularity=popularity,
        quality=quality, arrives=arrives, titles=titles, leaf_names=leaf_names,
        brand_names=brand_names,
    )  # fmt: skip


def _title(leaf: str, brand: str, word: int, chinese: bool) -> str:
    _, noun, noun_zh = _LEAVES[leaf]
    english, mandarin = _WORDS[word]
    return f"{brand} {mandarin}{noun_zh}" if chinese else f"{brand} {english} {noun}"
