"""The verb that explains segments: explain."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from shoal.cli.console import Console
from shoal.cli.options import AsOf, Debug, Json, Segmentation, ShopDir, writable
from shoal.domain.errors import UsageError

#: What `--sql` takes for every customer's segment.
EVERYBODY: Final = "all"
_EFFECTS: Final = 3


def register(app: typer.Typer) -> None:
    """Add this module's verbs."""
    app.command("explain")(explain)


def explain(
    shop: ShopDir,
    segment: Annotated[
        str | None, typer.Option("--segment", metavar="S", help="One segment, such as s03.")
    ] = None,
    customer: Annotated[
        str | None,
        typer.Option("--customer", metavar="ID", help="Why a customer is where they are."),
    ] = None,
    pair: Annotated[
        tuple[str, str] | None,
        typer.Option("--pair", metavar="A B", help="What tells two segments apart."),
    ] = None,
    sql: Annotated[
        str | None,
        typer.Option("--sql", metavar="S", help="A segment's rule as SQL; all: everybody's."),
    ] = None,
    dialect: Annotated[
        str, typer.Option("--dialect", metavar="duckdb|bigquery|snowflake|spark")
    ] = "duckdb",
    out: Annotated[
        Path | None, typer.Option("--out", help="With --sql: the file to write.")
    ] = None,
    segmentation: Segmentation = None,
    as_of: AsOf = None,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Explain the segments: what sets them apart, rules, value; or one, two, or a customer."""
    from shoal import shop as shops

    asked = [one for one in (segment, customer, pair, sql) if one is not None]
    if len(asked) > 1:
        raise UsageError(
            "usage", "more than one thing was asked for",
            hint="Give one of --segment, --customer, --pair and --sql, or none for all segments.",
        )  # fmt: skip
    if as_of is not None and customer is None and sql is None:
        raise UsageError(
            "usage", "--as-of goes with --customer or --sql",
            hint="Segments are explained as of the moment that they were made of.",
        )  # fmt: skip
    if out is not None and sql is None:
        raise UsageError("usage", "--out goes with --sql", hint="Use --json and a redirection.")
    console = Console(json)
    writable(out)
    with shops.open(shop) as opened:
        if sql is not None:
            whose = None if sql == EVERYBODY else sql
            if out is not None:
                found = opened.write_segment_sql(
                    out, whose, dialect=dialect, segmentation=segmentation, as_of=as_of
                )
            else:
                found = opened.segment_sql(
                    whose, dialect=dialect, segmentation=segmentation, as_of=as_of
                )
            show = _show_sql
        elif customer is not None:
            found = opened.explain_customer(customer, segmentation=segmentation, as_of=as_of)
            show = _show_customer
        elif pair is not None:
            found, show = opened.explain_pair(*pair, segmentation=segmentation), _show_pair
        elif segment is not None:
            found = opened.explain_segment(segment, segmentation=segmentation)
            show = _show_one
        else:
            found, show = opened.explain(segmentation), _show_all
    for warning in found.get("warnings", ()):
        console.warn(warning)
    console.document(found)
    if not json:
        show(console, found)


def _show_all(console: Console, found: Mapping[str, Any]) -> None:
    console.heading(f"{found['segmentation_id']}, as of {found['as_of'][:10]}")
    for one in found["segments"]:
        _show_segment(console, one)
    _show_tree(console, found["tree"])
    stable = found["stability"]
    if stable is not None:
        agreement = stable["agreement"]
        console.say(
            f"Against {stable['previous']}: {stable['features']['shared']} of "
            f"{stable['features']['of']} features and {stable['thresholds']['kept']} of "
            f"{stable['thresholds']['of']} thresholds stay"
            + ("." if agreement is None else f"; the rules agree on {agreement:.0%} of customers.")
        )


def _show_one(console: Console, found: Mapping[str, Any]) -> None:
    _show_segment(console, found)
    fidelity = found["fidelity"]
    own = {} if fidelity is None else fidelity["by_segment"]
    if found["segment_id"] in own:
        console.say(f"The rule finds {own[found['segment_id']]:.0%} of its members.")
    for what in ("typical", "borderline"):
        ids = [one["customer_id"] for one in found[what]]
        if ids:
            console.say(f"{what.capitalize()} customers: {', '.join(ids)}")


def _show_segment(console: Console, one: Mapping[str, Any]) -> None:
    console.heading(f"{one['segment_id']}  {one['name']['en']}")
    console.say(one["persona"]["en"])
    if one["effects"]:
        from shoal.segments.wording import amount

        console.table(
            ["feature", "here", "the rest", "effect", "95 %"],
            [
                [
                    each["sentence"]["en"].partition(":")[0],
                    amount(each["median"], each["unit"]),
                    amount(each["rest_median"], each["unit"]),
                    f"{each['effect']:+.2f}", f"{each['low']:+.2f} to {each['high']:+.2f}",
                ]
                for each in one["effects"][:_EFFECTS]
            ],
            right=["here", "the rest", "effect"],
        )  # fmt: skip
    expected = one["value"]["next"]
    if expected is not None:
        told = [
            "" if expected["active"] is None else f"{expected['active']:.0%} active",
            "" if expected["orders"] is None else f"{expected['orders']:,.0f} orders",
            "" if expected["spend"] is None else f"{expected['spend']:,.0f} spent",
        ]
        console.say(f"Expected next period: {', '.join(filter(None, told))}.")
    for number, path in enumerate([] if one["rule"] is None else one["rule"]["paths"]):
        console.say(f"{'   or: ' if number else 'Rule:  '}{path['words']['en']}")
    console.say("")


def _show_tree(console: Console, tree: Mapping[str, Any] | None) -> None:
    """How far the rules can be trusted."""
    if tree is None:
        return
    fidelity = tree["fidelity"]
    verdict = "" if fidelity["reached"] else f" The goal is {fidelity['goal']:.0%}."
    console.say(
        f"The rules are a tree of {tree['leaves']} leaves. Of customers it was not learned from it "
        f"finds {fidelity['balanced']:.1%} of a segment's members on average (always the largest: "
        f"{fidelity['majority_balanced']:.1%}).{verdict}"
    )
    if tree["cost_ratio"] is not None:
        console.say(f"Groups by rule are {tree['cost_ratio']:.2f} times as wide as the segments.")
    gone = tree["left_out"]
    if gone["columns"]:
        names = ", ".join(one["feature"] for one in gone["columns"])
        console.say(
            f"Without a form in SQL, and so not asked: {names}; a tree with them would find "
            f"{gone['fidelity_lost']:+.1%}."
        )


def _show_pair(console: Console, found: Mapping[str, Any]) -> None:
    (a, first), (b, second) = found["segments"].items()
    console.heading(f"{a} {first['en']} against {b} {second['en']}")
    for one in found["effects"]:
        console.say(f"  {one['sentence']['en']} [{one['effect']:+.2f}]")
    for name, rule in found["tree"]["rules"].items():
        console.say(f"{name}: {rule['words']['en']}")
    console.say(
        f"Of members they were not learned from, the rules tell "
        f"{found['tree']['fidelity']['balanced']:.1%} right."
    )


def _show_customer(console: Console, found: Mapping[str, Any]) -> None:
    console.heading(
        f"Customer {found['customer_id']}: {found['segment_id']} {found['name']['en']} "
        f"(weight {found['weight']:.2f})"
    )
    if found["why_here"]:
        console.say("Why here:")
    for one in found["why_here"]:
        console.say(f"  {one['share']:>4.0%}  {one['sentence']['en']}")
    if found["next"] is not None:
        console.say(
            f"Why not {found['next']['segment_id']} {found['next']['name']['en']} "
            f"(weight {found['next']['weight']:.2f}):"
        )
    console.say(f"  {found['why_not_next']['sentence']['en']}")
    for one in found["why_not_next"]["speaks_for_it"]:
        console.say(f"  {one['share']:>4.0%}  {one['sentence']['en']}")
    if found["change"]["sentence"] != found["why_not_next"]["sentence"]:
        console.say(f"The smallest change: {found['change']['sentence']['en']}")
    rule = found["rule"]
    if rule is not None:
        console.say(
            f"The rule {'agrees' if rule['agrees'] else 'says ' + rule['segment_id']}: "
            f"{rule['words']['en']}"
        )


def _show_sql(console: Console, found: Mapping[str, Any]) -> None:
    if "path" in found:
        console.say(f"SQL written to {found['path']}")
    else:
        typer.echo(found["sql"], nl=False)
