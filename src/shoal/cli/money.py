"""Verbs about money: rates, reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import Debug, Json, ShopDir
from shoal.domain.errors import EXIT_DONE, EXIT_FAILED, UsageError

if TYPE_CHECKING:
    from shoal.workflows.books_compare import Comparison, Difference
    from shoal.workflows.rates import Loaded, Rates
    from shoal.workflows.reconcile import Reconciliation


#: What is left out of the money, in words; codes of noise stand for themselves.
_BESIDE: Final = {
    "fee": "fees and postage",
    "gift_card": "gift cards sold",
    "told_twice": "orders of sources that do not count",
    "other_currency": "amounts of other currencies",
    "test_order": "test orders",
    "staff_order": "orders of staff",
    "rate": "visitors too fast for people (rate)",
    "no_think_time": "visitors too fast for people (no_think_time)",
}


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("rates")(rates)
    app.command("reconcile")(reconcile)


def rates(
    shop: ShopDir,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="[FILE]", help="Dated rates: CSV, JSON Lines or Parquet."),
    ] = None,
    base: Annotated[
        str,
        typer.Option("--base", metavar="EUR", help="Base of a table with a column a currency."),
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show the rates the shop has.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Load dated currency rates, by which amounts become the shop's currency; or list them."""
    from shoal import shop as shops

    if (file is None) != listed:
        raise UsageError(
            "usage",
            "a file and --list were both given" if listed else "no file of rates was given",
            hint="Give one: shoal rates SHOP FILE loads rates, shoal rates SHOP --list shows them.",
        )
    console = Console(json)
    with shops.open(shop) as opened:
        if file is None:
            known = opened.rates()
            console.document(known.as_document())
            _show_rates(console, known)
            return
        loaded = opened.load_rates(file, base=base)
    console.document(loaded.as_document())
    _show_loaded(console, loaded)


def _show_loaded(console: Console, loaded: Loaded) -> None:
    console.say(
        f"{loaded.read:,} rates read: {loaded.new:,} new, {loaded.changed:,} in place of another "
        "for the same day."
    )
    if loaded.ignored:
        console.say(f"Left out, no currency in circulation: {', '.join(loaded.ignored[:40])}.")
    for one in loaded.unused[:40]:
        console.say(
            f"Not used: {one.one} in {one.other} ({one.days:,} days, {one.first} to {one.last}) "
            f"leads to {loaded.rates.currency} by no other rate of its day."
        )
    if loaded.replaced:
        console.say(f"Rates into {loaded.replaced} no longer count and were dropped.")
    _show_rates(console, loaded.rates)


def _show_rates(console: Console, known: Rates) -> None:
    into = known.currency or "the shop's currency"
    if not known.currencies:
        console.say(f"The shop has no rates into {into}.")
        return
    console.table(
        ["currency", "days", "from", "to", f"latest in {into}"],
        [
            [one.name, f"{one.days:,}", one.first, one.last, f"{one.latest:.6g}"]
            for one in known.currencies
        ],
        title=f"Rates into {into} ({known.rates_id})",
        right=["days", f"latest in {into}"],
    )


def reconcile(
    shop: ShopDir,
    against: Annotated[
        Path | None,
        typer.Option("--against", metavar="BOOKS.csv", help="A table of months and amounts."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="month", help="Only month.")] = "month",
    first: Annotated[
        str | None, typer.Option("--from", metavar="2024-01", help="The first month.")
    ] = None,
    last: Annotated[
        str | None, typer.Option("--to", metavar="2024-12", help="The last month.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option("--tolerance", help="Amounts that differ by no more agree.")
    ] = 0.01,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit code 1 if the books do not agree.")
    ] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """The shop's money by month, and how and why it differs from the books."""
    from shoal import shop as shops

    if by != "month":
        raise UsageError("usage", f"--by {by!r} is not possible", hint="Give --by month.")
    console = Console(json)
    with shops.open(shop) as opened:
        found = opened.reconcile(
            against=against, first=first, last=last, tolerance=tolerance,
            progress=console.progress(),
        )  # fmt: skip
    console.document(found.as_document())
    if not json:
        _show_months(console, found)
        if found.comparison is not None:
            _show_comparison(console, found.comparison)
    differs = found.comparison is not None and not found.comparison.agrees
    raise typer.Exit(EXIT_FAILED if strict and differs else EXIT_DONE)


def _show_months(console: Console, found: Reconciliation) -> None:
    from shoal.features.months import AMOUNTS, MEASURES

    unit = found.currency or "no stated currency"
    every = (*found.months, found.total)
    empty = [n for n in AMOUNTS if not any(getattr(one, n) for one in every)]
    if not {"tax", "shipping"} - set(empty):
        empty.append("total")  # the same as net
    for title, names in (
        (f"Money by month ({unit}, {found.zone})", [n for n in AMOUNTS if n not in empty]),
        ("Orders and customers", [n for n in MEASURES if n not in AMOUNTS]),
    ):
        headings = [name.replace("_", " ") for name in names]
        console.table(
            ["month", *headings],
            [
                [one.month or "all", *(_value(name, getattr(one, name)) for name in names)]
                for one in every
            ],
            title=title,
            right=headings,
        )
    console.say("net = gross - discounts - refunds; total = net + tax + shipping.")
    nothing = [name for name in empty if name != "total"]
    if nothing:
        console.say(f"The events tell nothing of: {', '.join(nothing)}.")
    for month, what, day in found.ends:
        console.say(f"The shop's money {what} on {day}: {month} is not a whole month.")
    for one in found.beside:
        orders = f"{one.orders:,} orders, " if one.orders else ""
        console.say(
            f"In no measure, {_BESIDE.get(one.why, one.why)}: {orders}{one.lines:,} lines, "
            f"{_value('net', one.amount)}."
        )
    if len(found.sources) > 1:
        told = ", ".join(
            f"{one.source} {one.orders:,} orders, {_value('net', one.net)}" for one in found.sources
        )
        console.warn(
            f"Several sources tell of orders ({told}). If these are the same orders under other "
            "ids, they count more than once: name the source whose orders count in shop.toml, "
            "[shop] order_sources."
        )
    for two in found.doubled:
        console.warn(
            f"{two.orders:,} orders are told by both {' and '.join(two.sources)}: "
            f"{_value('net', two.amount)} may count twice. Name the source whose orders count in "
            "shop.toml, [shop] order_sources."
        )
    for again in found.again:
        console.warn(
            f"{again.orders:,} orders are told again by {again.source or 'an unnamed source'} at "
            f"another time, with the same lines: {_value('net', again.amount)} may count more than "
            "once. shoal quality shows since when, with an example."
        )


def _show_comparison(console: Console, found: Comparison) -> None:
    console.heading(f"Against {found.file}")
    if found.agrees:
        console.say(
            f"Everything agrees within {found.tolerance / 1_000_000:g} (figures compared: "
            f"{len(found.differences):,}, months: "
            f"{len({one.month for one in found.differences}):,})."
        )
    open_ = [one for one in found.totals if not one.agrees]
    for one in open_:
        months = [row for row in found.differences if row.measure == one.measure]
        off = sum(not row.agrees for row in months)
        console.say(
            f"  {one.measure}: {off} of {len(months)} months differ, by "
            f"{_signed(one)} together. {_why(one)}"
        )
    if open_:
        console.table(
            ["month", "measure", "shop", "books", "books - shop", "likely cause"],
            [
                [one.month, one.measure, _value(one.measure, one.ours),
                 _value(one.measure, one.theirs), _signed(one), _why(one)]
                for one in found.differences
                if not one.agrees
            ],
            right=["shop", "books", "books - shop"],
        )  # fmt: skip
    for names, who in ((found.only_ours, "shop"), (found.only_theirs, "books")):
        if names:
            console.say(f"Only the {who} has {', '.join(names)}.")
    for measure, holes in found.unfilled.items():
        console.say(f"The books have no figure of {measure} for {', '.join(holes)}.")
    if found.ignored:
        console.say(f"Columns of the books that were not read: {', '.join(found.ignored[:40])}.")
    for note in found.notes:
        console.say(note)


def _why(one: Difference) -> str:
    if not one.causes:
        return "Not explained."
    return "; or ".join(f"{cause.text} ({cause.explained:.0%})" for cause in one.causes)


def _value(measure: str, value: int) -> str:
    from shoal.features.months import AMOUNTS

    return f"{value / 1_000_000:,.2f}" if measure in AMOUNTS else f"{value:,}"


def _signed(one: Difference) -> str:
    text = _value(one.measure, one.difference)
    return text if text.startswith("-") else f"+{text}"
