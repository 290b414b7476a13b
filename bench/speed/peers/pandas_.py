"""The same features in pandas: one frame read by Arrow, group-bys on categorical customers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from bench.speed.peers.finish import DAY_US, KINDS, TEXTS, VISIT_SUMS, WINDOWS, finish, table

_KEY = "customer_id"
_COLUMNS = [
    _KEY, "kind", "event_time", "item_id", "category", "brand", "price", "discount", "quantity",
    "order_id", "session_id", "payment", "coupon", "channel", "device", "country", "region",
    "rating", "utc_offset_s",
]  # fmt: skip
_CATEGORICAL = (_KEY, "kind", "item_id", "category", "brand", "session_id", "payment", "channel",
                "device", "country", "region")  # fmt: skip


def features(files: Sequence[str], reference: pa.Table, now_us: int, today: int) -> pa.Table:
    """The catalog's features of every customer, sorted by customer."""
    event = _events(files, now_us)
    bought = event[event["bought"]]
    parts = [
        _customers(event), _visits(event, today), _orders(bought, today),
        _spread(event, "top_category", "category"), _spread(event, "brand", "brand"),
        _items(event, reference.to_pandas()), _commonest(event, "channel", "channels"),
        _commonest(event, "device", None), _commonest(bought, "payment", "payment_kinds"),
    ]  # fmt: skip
    wide = parts[0].join(parts[1:]).sort_index()
    number = {
        name: wide[name].to_numpy(np.float64, na_value=np.nan)
        for name in wide.columns
        if name not in TEXTS
    }
    texts = {
        name: pa.array(wide[name].astype(object), pa.string(), from_pandas=True) for name in TEXTS
    }
    return table(pa.array(wide.index.astype(str), pa.string()), texts, finish(number, now_us))


def _events(files: Sequence[str], now_us: int) -> pd.DataFrame:
    tables = [pq.ParquetFile(file).read(columns=_COLUMNS) for file in files]
    event = pa.concat_tables(tables).to_pandas(categories=list(_CATEGORICAL))
    us = event["event_time"].dt.as_unit("us").astype("int64")
    event = event.drop(columns="event_time").assign(us=us)
    keep = event[_KEY].notna() & (event["kind"] != "item") & (us < now_us)
    event = event[keep] if not keep.all() else event
    us = event["us"]
    local = us + event["utc_offset_s"].fillna(0).astype("int64") * 1_000_000
    units = event["quantity"].fillna(event["price"].notna().astype("float64"))
    gross = (event["price"] * event["quantity"].fillna(1)).fillna(0)
    discount = event["discount"].fillna(0)
    bought, refund = event["kind"] == "purchase", event["kind"] == "refund"
    names = event["category"].cat.categories
    top = event["category"].map(dict(zip(names, names.str.split("/").str[0], strict=True)))
    return event.assign(
        day=local // DAY_US, hour=local % DAY_US // 3_600_000_000, units=units, gross=gross,
        discount=discount, priced=event["price"].notna(), bought=bought, refund=refund,
        top_category=top.astype("category"),
        net=np.select([bought, refund], [gross - discount, discount - gross.abs()], 0.0),
        order_key=event["order_id"].where(event["order_id"].notna(), "@" + us.astype(str)),
    )  # fmt: skip


def _group(frame: pd.DataFrame, *keys: str) -> pd.core.groupby.DataFrameGroupBy:
    return frame.groupby([_KEY, *keys] if keys else _KEY, observed=True, sort=False, dropna=False)


def _customers(event: pd.DataFrame) -> pd.DataFrame:
    hour = event["hour"]
    flags = pd.DataFrame(
        {
            _KEY: event[_KEY], "events": 1, "night": (hour < 6) | (hour >= 22),
            "morning": (hour >= 6) & (hour < 12), "afternoon": (hour >= 12) & (hour < 18),
            "weekend": (event["day"] + 3) % 7 >= 5,
            "refund_micros": (event["gross"].abs() - event["discount"]).where(event["refund"], 0),
            "rated": event["rating"].notna(),
            "rating_micros": (event["rating"] * 1e6).round().fillna(0),
            **{f"n_{kind}": event["kind"] == kind for kind in KINDS},
        },
        copy=False,
    )  # fmt: skip
    result = _group(flags).sum()
    span = _group(event)["us"].agg(["min", "max"])
    result["first_us"], result["last_us"] = span["min"], span["max"]
    result["signed_up_us"] = _group(event[event["kind"] == "sign_up"])["us"].min()
    for name in ("country", "region"):
        known = event.loc[event[name].notna(), [_KEY, "us", name]].sort_values("us", kind="stable")
        result[name] = known.drop_duplicates(_KEY, keep="last").set_index(_KEY)[name]
    return result


def _visits(event: pd.DataFrame, today: int) -> pd.DataFrame:
    recent = event[event["day"] > today - WINDOWS[-1]]
    kind = recent["kind"]
    recent = recent[[_KEY, "day", "session_id", "us", "bought", "net"]].assign(
        n=1, views=kind == "view", carts=kind == "cart_add", searches=kind == "search"
    )
    groups = _group(recent, "day", "session_id")
    visit = groups[["n", "bought", "net", "views", "carts", "searches"]].sum()
    visit["us"] = groups["us"].max() - groups["us"].min()
    visit = visit.reset_index()
    by = _group(visit.assign(buying=visit["bought"] > 0, sessions=1))
    result = by[["sessions", "us", "buying"]].sum().rename(columns={"us": "session_us"})
    result["deepest"] = by["n"].max()
    result["active_days"] = _group(visit.drop_duplicates([_KEY, "day"])).size()
    for window in WINDOWS:
        sums = _group(visit[visit["day"] > today - window])[list(VISIT_SUMS.values())].sum()
        for name, column in VISIT_SUMS.items():
            result[f"{name}_{window}"] = sums[column]
    return result


def _orders(bought: pd.DataFrame, today: int) -> pd.DataFrame:
    lines = bought.assign(lines=1, coupons=bought["coupon"].notna())
    groups = _group(lines, "order_key")
    basket = groups[["lines", "units", "gross", "discount", "priced", "coupons"]].sum()
    basket[["us", "day"]] = groups[["us", "day"]].min()
    basket = basket.reset_index().sort_values([_KEY, "us"])
    gap = _group(basket)["us"].diff()
    basket = basket.assign(
        gap=gap.where(gap > 0), value=basket["gross"] - basket["discount"], orders=1,
        discounted=basket["discount"] > 0, couponed=basket["coupons"] > 0,
        **{f"orders_{window}": basket["day"] > today - window for window in WINDOWS},
    )  # fmt: skip
    by = _group(basket)
    summed = ["orders", "lines", "units", "gross", "discount", "priced", "discounted", "couponed"]
    result = by[summed + [f"orders_{window}" for window in WINDOWS]].sum()
    result["last_order_us"] = by["us"].max()
    result["units_max"], result["basket_max"] = by["units"].max(), by["value"].max()
    result["gap_mean"], result["gap_std"] = by["gap"].mean(), by["gap"].std()
    return result


def _spread(event: pd.DataFrame, key: str, name: str) -> pd.DataFrame:
    known = event.loc[event[key].notna(), [_KEY, key, "bought"]].assign(n=1)
    tally = _group(known, key)[["n", "bought"]].sum().reset_index()
    tally["nlogn"] = tally["n"] * np.log(tally["n"])
    tally["kinds_bought"] = tally["bought"] > 0
    tally["kinds"] = 1
    by = _group(tally)
    result = by[["kinds", "n", "nlogn", "kinds_bought", "bought"]].sum()
    result["max"] = by["n"].max()
    result["bought_max"] = by["bought"].max().replace(0, np.nan)
    result = result.add_prefix(f"{name}_")
    result[f"top_{name}"] = _top(tally, key)
    return result


def _top(tally: pd.DataFrame, key: str) -> pd.Series:
    ordered = tally.assign(**{key: tally[key].astype(str)}).sort_values(["n", key])
    return ordered.drop_duplicates(_KEY, keep="last").set_index(_KEY)[key]


def _items(event: pd.DataFrame, reference: pd.DataFrame) -> pd.DataFrame:
    taken = event["kind"].isin(["purchase", "cart_add", "favourite"]) & event["item_id"].notna()
    groups = _group(event.loc[taken, [_KEY, "item_id", "us", "bought"]], "item_id")
    item = groups.agg(us=("us", "min"), bought=("bought", "sum")).reset_index()
    item = item.astype({"item_id": object}).merge(reference, on="item_id", how="left")
    item = item.assign(
        items=1, items_bought=item["bought"] > 0, items_again=item["bought"] > 1,
        age_us=item["us"] - item["item_first_us"],
        bought_price_rank=item["price_rank"].where(item["bought"] > 0),
    ).rename(columns={"bought": "item_lines"})  # fmt: skip
    by = _group(item)
    result = by[["items", "items_bought", "items_again", "item_lines"]].sum()
    means = ["age_us", "popularity", "price_rank", "bought_price_rank"]
    result[means] = by[means].mean()
    return result


def _commonest(event: pd.DataFrame, key: str, count: str | None) -> pd.DataFrame:
    tally = _group(event.loc[event[key].notna(), [_KEY, key]], key).size().rename("n").reset_index()
    result = _top(tally, key).rename(f"main_{key}").to_frame()
    if count:
        result[count] = _group(tally).size()
    return result
