"""The same features in polars: lazy group-bys over one scan, collected together by streaming."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
from polars import col

from bench.speed.peers.finish import DAY_US, KINDS, TEXTS, VISIT_SUMS, WINDOWS, finish, table

_KEY = "customer_id"


def features(files: Sequence[str], reference: pa.Table, now_us: int, today: int) -> pa.Table:
    """The catalog's features of every customer, sorted by customer."""
    event = _events(files, now_us)
    parts = [
        _customers(event), _visits(event, today), _orders(event, today),
        _spread(event, "top_category", "category"), _spread(event, "brand", "brand"),
        _items(event, pl.DataFrame(reference).lazy()), *_means(event),
    ]  # fmt: skip
    wide, *rest = pl.collect_all(parts, engine="streaming")
    for part in rest:
        wide = wide.join(part, on=_KEY, how="left", maintain_order="none")
    wide = wide.sort(_KEY)
    number = {
        name: wide[name].cast(pl.Float64).fill_null(float("nan")).to_numpy()
        for name in wide.columns
        if name != _KEY and name not in TEXTS
    }
    texts = {name: wide[name].to_arrow() for name in TEXTS}
    return table(wide[_KEY].to_arrow(), texts, finish(number, now_us))


def _events(files: Sequence[str], now_us: int) -> pl.LazyFrame:
    us = col("event_time").dt.epoch("us")
    local = us + col("utc_offset_s").fill_null(0).cast(pl.Int64) * 1_000_000
    units = col("quantity").fill_null(col("price").is_not_null().cast(pl.Int64))
    gross = (col("price") * col("quantity").fill_null(1)).fill_null(0)
    refund = col("kind") == "refund"
    return (
        pl.scan_parquet(list(files), hive_partitioning=False)
        .filter(col(_KEY).is_not_null(), col("kind") != "item", us < now_us)
        .select(
            _KEY, "kind", "item_id", "brand", "session_id", "payment", "coupon", "channel",
            "device", "country", "region", "rating", us=us, day=local // DAY_US,
            hour=local % DAY_US // 3_600_000_000, units=units, gross=gross,
            priced=col("price").is_not_null(), discount=col("discount").fill_null(0),
            top_category=col("category").str.split("/").list.first(),
            bought=col("kind") == "purchase", order_key=pl.coalesce(
                "order_id", "@" + us.cast(pl.String)),
        )
        .with_columns(
            net=pl.when("bought").then(col("gross") - col("discount"))
            .when(refund).then(col("discount") - col("gross").abs()).otherwise(0)
        )
    )  # fmt: skip


def _customers(event: pl.LazyFrame) -> pl.LazyFrame:
    hour = col("hour")
    refund = col("kind") == "refund"
    return event.group_by(_KEY).agg(
        events=pl.len(), first_us=col("us").min(), last_us=col("us").max(),
        night=((hour < 6) | (hour >= 22)).sum(), morning=((hour >= 6) & (hour < 12)).sum(),
        afternoon=((hour >= 12) & (hour < 18)).sum(), weekend=((col("day") + 3) % 7 >= 5).sum(),
        refund_micros=pl.when(refund).then(col("gross").abs() - col("discount")).sum(),
        rated=col("rating").count(), rating_micros=(col("rating") * 1e6).round().sum(),
        signed_up_us=col("us").filter(col("kind") == "sign_up").min(),
        country=col("country").filter(col("country").is_not_null()).sort_by(
            col("us").filter(col("country").is_not_null())).last(),
        region=col("region").filter(col("region").is_not_null()).sort_by(
            col("us").filter(col("region").is_not_null())).last(),
        **{f"n_{kind}": (col("kind") == kind).sum() for kind in KINDS},
    )  # fmt: skip


def _visits(event: pl.LazyFrame, today: int) -> pl.LazyFrame:
    day = col("day")
    visit = (
        event.filter(day > today - WINDOWS[-1])
        .group_by(_KEY, "day", "session_id")
        .agg(
            n=pl.len(), us=col("us").max() - col("us").min(), bought=col("bought").sum(),
            views=(col("kind") == "view").sum(), carts=(col("kind") == "cart_add").sum(),
            searches=(col("kind") == "search").sum(), net=col("net").sum(),
        )
    )  # fmt: skip
    sums = {
        f"{name}_{window}": pl.when(day > today - window).then(col(column)).otherwise(0).sum()
        for name, column in VISIT_SUMS.items()
        for window in WINDOWS
    }
    return visit.group_by(_KEY).agg(
        sessions=pl.len(), session_us=col("us").sum(), deepest=col("n").max(),
        buying=(col("bought") > 0).sum(), active_days=day.n_unique(), **sums,
    )  # fmt: skip


def _orders(event: pl.LazyFrame, today: int) -> pl.LazyFrame:
    basket = (
        event.filter("bought")
        .group_by(_KEY, "order_key")
        .agg(
            us=col("us").min(), day=col("day").min(), lines=pl.len(), units=col("units").sum(),
            gross=col("gross").sum(), discount=col("discount").sum(), priced=col("priced").sum(),
            coupons=col("coupon").count(),
        )
    )  # fmt: skip
    gap = col("us").sort().diff()
    gap = gap.filter(gap > 0)
    return basket.group_by(_KEY).agg(
        orders=pl.len(), last_order_us=col("us").max(), gap_mean=gap.mean(), gap_std=gap.std(),
        lines=col("lines").sum(), units=col("units").sum(), units_max=col("units").max(),
        gross=col("gross").sum(), discount=col("discount").sum(),
        basket_max=(col("gross") - col("discount")).max(), priced=col("priced").sum(),
        discounted=(col("discount") > 0).sum(), couponed=(col("coupons") > 0).sum(),
        **{f"orders_{window}": (col("day") > today - window).sum() for window in WINDOWS},
    )  # fmt: skip


def _spread(event: pl.LazyFrame, key: str, name: str) -> pl.LazyFrame:
    n, bought = col("n"), col("bought")
    tally = event.filter(col(key).is_not_null()).group_by(_KEY, key).agg(
        n=pl.len().cast(pl.Int64), bought=col("bought").sum())  # fmt: skip
    return tally.group_by(_KEY).agg(
        pl.len().alias(f"{name}_kinds"), n.sum().alias(f"{name}_n"), n.max().alias(f"{name}_max"),
        (n * n.log()).sum().alias(f"{name}_nlogn"),
        col(key).filter(n == n.max()).max().alias(f"top_{name}"),
        (bought > 0).sum().alias(f"{name}_kinds_bought"), bought.sum().alias(f"{name}_bought"),
        bought.filter(bought > 0).max().alias(f"{name}_bought_max"),
    )  # fmt: skip


def _items(event: pl.LazyFrame, reference: pl.LazyFrame) -> pl.LazyFrame:
    taken = col("kind").is_in(["purchase", "cart_add", "favourite"])
    bought = col("bought")
    return (
        event.filter(col("item_id").is_not_null(), taken)
        .group_by(_KEY, "item_id")
        .agg(us=col("us").min(), bought=bought.sum())
        .join(reference, on="item_id", how="left")
        .group_by(_KEY)
        .agg(
            items=pl.len(), items_bought=(bought > 0).sum(), items_again=(bought > 1).sum(),
            item_lines=bought.sum(), age_us=(col("us") - col("item_first_us")).mean(),
            popularity=col("popularity").mean(), price_rank=col("price_rank").mean(),
            bought_price_rank=col("price_rank").filter(bought > 0).mean(),
        )
    )  # fmt: skip


def _means(event: pl.LazyFrame) -> list[pl.LazyFrame]:
    touch = event.group_by(_KEY, "channel", "device").agg(n=pl.len())
    payment = event.filter("bought").group_by(_KEY, "payment").agg(n=pl.len())
    return [
        _commonest(touch, "channel").with_columns(col("kinds").alias("channels")).drop("kinds"),
        _commonest(touch, "device").drop("kinds"),
        _commonest(payment, "payment").with_columns(col("kinds").alias("payment_kinds"))
        .drop("kinds"),
    ]  # fmt: skip


def _commonest(tally: pl.LazyFrame, key: str) -> pl.LazyFrame:
    n = col("n")
    return (
        tally.filter(col(key).is_not_null()).group_by(_KEY, key).agg(n=n.sum()).group_by(_KEY)
        .agg(pl.len().alias("kinds"), col(key).filter(n == n.max()).max().alias(f"main_{key}"))
    )  # fmt: skip
