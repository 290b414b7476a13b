"""The report's texts in English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shoal.events.reasons import REASONS

EN: Final[Mapping[str, str]] = {
    "list.comma": ", ",
    "list.and": " and ",
    "list.semicolon": "; ",
    "punct.colon": ": ",
    "punct.quote": "“{text}”",
    "noun.customer.one": "{n} customer",
    "noun.customer.many": "{n} customers",
    "noun.event.one": "{n} event",
    "noun.event.many": "{n} events",
    "noun.style.one": "{n}\u00a0style",
    "noun.style.many": "{n}\u00a0styles",
    "noun.day.one": "{n}\u00a0day",
    "noun.day.many": "{n}\u00a0days",
    "noun.segment.one": "{n} segment",
    "noun.segment.many": "{n} segments",
    "noun.row.one": "{n} row",
    "noun.row.many": "{n} rows",
    "noun.file.one": "{n} file",
    "noun.file.many": "{n} files",
    # page
    "page.title": "{shop}: customer segments",
    "page.period": "Events from {first} to {last}",
    "page.made": "Made with Shoal {version} on {day}",
    "page.skip": "Skip to the content",
    "page.contents": "Contents",
    "page.table": "Show the numbers",
    "page.footer": (
        "This file is complete in itself: it loads nothing from the network and sends nothing."
    ),
    # key figures
    "key.title": "Key figures",
    "key.customers": "Customers",
    "key.events": "Events",
    "key.orders": "Orders",
    "key.values.review": "Review occasions",
    "key.values.other": "“{kind}” occasions",
    "key.revenue": "Net revenue",
    "key.period": "Period",
    # findings
    "found.title": "What was found",
    "found.placed": (
        "{placed} of {customers} ({share}) fall into {segments} by what they do. "
        "The other {tier} ({tier_share}) have done too little to tell."
    ),
    "found.placed_all": "All {customers} fall into {segments} by what they do.",
    "found.none": (
        "None of the {customers} has done enough to be placed in a segment. "
        "The shop needs more events from each customer before segments mean anything."
    ),
    "found.top_money": (
        "The segment that brings the most is {name}: {customers} of customers, {value} of revenue."
    ),
    "found.top_orders": (
        "The busiest segment is {name}: {customers} of customers, {value} of all {orders}."
    ),
    "found.concentrated": (
        "{count} of the {segments} bring at least half of all {what}, "
        "with {customers} of customers."
    ),
    "found.largest": "The largest segment is {name}, with {customers} of customers.",
    "found.single": "There is one segment only: nothing here tells these customers apart.",
    "found.tier_money": "Customers too little known bring {value} of revenue all the same.",
    "found.quarantined": (
        "{bad} of the {rows} read ({share}) could not be used; see “Data” for the reasons."
    ),
    "what.revenue": "revenue",
    "what.orders": "orders",
    "what.reviews": "review occasions",
    "what.values": "“{kind}” occasions",
    # segments
    "segments.title": "Segments",
    "segments.lead_money": (
        "Where the bar of revenue is longer than the bar of customers, "
        "a segment is worth more than its size."
    ),
    "segments.lead_orders": (
        "Where the bar of {what} is longer than the bar of customers, "
        "a segment is busier than its size."
    ),
    "segments.figure": "Share of customers and of {what}, by segment",
    "segments.alt": (
        "Bar chart with two bars for each of {segments}: its share of all customers and its share "
        "of {what}. The largest share of {what} is {value}, of {name}."
    ),
    "col.segment": "Segment",
    "col.id": "Id",
    "col.customers": "Customers",
    "col.customer_share": "Share of customers",
    "col.revenue": "Net revenue",
    "col.revenue_share": "Share of revenue",
    "col.orders": "Orders",
    "col.value_share": "Share of {what}",
    "col.revenue_per_customer": "Revenue per customer",
    "col.orders_per_customer": "Per customer",
    "segments.foremost": "The {n} that bring most are drawn; the table below has all.",
    "col.trend": "Active over time",
    "segments.trend_alt": "Active members over time: first {first}, last {last}, at most {most}",
    "series.customers": "Customers",
    "series.revenue": "Revenue",
    "series.segment": "This segment",
    "series.shop": "All customers",
    # one segment
    "profile.title": "Each segment",
    "profile.line_money": "{customers} ({share}) · {revenue} net revenue ({revenue_share})",
    "profile.line_orders": "{customers} ({share}) · {orders} {what} ({orders_share})",
    "profile.line_each": "{revenue} a customer",
    "profile.apart": "What sets it apart",
    "profile.apart_none": "No single feature sets these customers clearly apart from the others.",
    "profile.effects": "Difference from all other placed customers",
    "profile.effects_axis": "Standard deviations from the others",
    "profile.effects_alt": (
        "Bar chart of the features in which {name} differs most from the other customers. "
        "The largest: {label}, {size} standard deviations."
    ),
    "profile.categories": "First category",
    "profile.brands": "First brand",
    "profile.first_note": "Share of customers of whom it is the one they choose most.",
    "profile.categories_alt": (
        "Bar chart of the category chosen most by the customers of {name} and by the others. "
        "First: {label}, {inside}."
    ),
    "profile.brands_alt": (
        "Bar chart of the brand chosen most by the customers of {name} and by the others. "
        "First: {label}, {inside}."
    ),
    "profile.hours": "Hours of the day",
    "profile.hours_axis": "Hour ({zone})",
    "profile.hours_alt": (
        "Line chart of the share of events by hour of the day in {name} and among all customers. "
        "The busiest hour of {name} begins at {peak}:00."
    ),
    "profile.weekdays": "Days of the week",
    "profile.weekdays_alt": (
        "Bar chart of the share of events by day of the week in {name} and among all customers. "
        "The busiest day of {name} is {peak}."
    ),
    "profile.exemplars": "Typical customers",
    "profile.exemplars_note": "Nearest to the middle of the segment; the most typical comes first.",
    "col.customer": "Customer",
    "col.feature": "Feature",
    "col.inside": "Segment",
    "col.outside": "Others",
    "col.size": "Difference",
    "col.interval": "95 % interval",
    "col.category": "Category",
    "col.brand": "Brand",
    "col.overall": "All customers",
    "col.hour": "Hour",
    "col.weekday": "Day",
    "effect.much_higher": "far higher than for the others",
    "effect.higher": "clearly higher than for the others",
    "effect.little_higher": "somewhat higher than for the others",
    "effect.slightly_higher": "a little higher than for the others",
    "effect.much_lower": "far lower than for the others",
    "effect.lower": "clearly lower than for the others",
    "effect.little_lower": "somewhat lower than for the others",
    "effect.slightly_lower": "a little lower than for the others",
    "effect.values": "{inside} against {outside}",
    "effect.values_mean": "{inside} against {outside} on average",
    "effect.note": (
        "Differences are in standard deviations (Cohen’s d) after the scaling used for clustering: "
        "about 0.2 is small, 0.5 medium, 0.8 large. Values beside them are typical values in their "
        "own unit."
    ),
    # units
    "unit.hours": "{n}\u00a0h",
    "unit.minutes": "{n}\u00a0min",
    "unit.seconds": "{n}\u00a0s",
    # tier
    "tier.title": "Too little known",
    "tier.name": "Too little known",
    "tier.text": (
        "{customers} ({share}) have fewer than {minimum} and are not placed. "
        "Whatever segment they were put in would be a guess; "
        "they join one when they have done more."
    ),
    "tier.text_unknown": (
        "{customers} ({share}) have done too little to be placed. "
        "Whatever segment they were put in would be a guess; "
        "they join one when they have done more."
    ),
    "tier.value": "They bring {revenue} ({share} of net revenue).",
    "tier.value_orders": "They bring {orders} {what} ({share}).",
    "tier.none": "Every customer has done enough to be placed.",
    # rfm
    "grid.title": "Recency and frequency",
    "grid.lead_money": (
        "The usual RFM grid, made by rules and kept beside the segments above. "
        "Each customer gets a score from 1 to 5 for how recently they bought, "
        "and one for how often and how much; 5 is best."
    ),
    "grid.lead_orders": (
        "The usual grid of recency and frequency, made by rules and kept beside the segments "
        "above. Each customer gets a score from 1 to 5 for how recently "
        "and one for how often they acted; 5 is best."
    ),
    "grid.customers": "Customers",
    "grid.revenue": "Net revenue",
    "grid.recency": "Recency score",
    "grid.frequency_money": "Frequency and spend score",
    "grid.frequency_orders": "Frequency score",
    "grid.customers_alt": (
        "Heat map of the number of customers by recency score and frequency score. Most customers, "
        "{n}, have recency {r} and frequency {f}."
    ),
    "grid.revenue_alt": (
        "Heat map of net revenue by recency score and frequency score. Most revenue, {n}, comes "
        "from recency {r} and frequency {f}."
    ),
    "grid.segments": "Segments of the grid",
    "grid.none": (
        "This shop has no RFM segmentation yet; `shoal segment SHOP --method rfm` makes one."
    ),
    "grid.rule": "Rule or cells (R recency, F frequency, M money)",
    "grid.bounds_recency": "Recency 5 to 1: active at most {bounds} days ago, or longer.",
    "grid.bounds_frequency": "Frequency 1 to 5: at most {bounds} {what}, or more.",
    "grid.bounds_spend": (
        "Spend 1 to 5: net revenue of at most {bounds}, or more; "
        "frequency and spend count as their rounded mean."
    ),
    "col.recency": "Recency",
    # activity
    "activity.title": "Activity over time",
    "activity.lead": "Each point is a stretch of {days}; the last one ends on {last}.",
    "activity.customers": "Active customers",
    "activity.orders": "Orders",
    "activity.revenue": "Net revenue",
    "activity.alt": (
        "Line chart over time of: {what}. The highest value, {peak}, is of the stretch from {day}."
    ),
    "col.from": "From",
    # data
    "data.title": "Data",
    "data.lead": "Every row read is counted in exactly one line below.",
    "data.files": "From {files}.",
    "data.read": "Rows read",
    "data.stored": "Stored as events",
    "data.withdrawn": "Of these withdrawn: a later export states their day or order anew",
    "data.duplicate": "Already known (the same event again)",
    "data.conflicting": "Conflicting (a known id with other content; one is kept by a fixed rule)",
    "data.quarantined": "Quarantined (unusable, kept apart with the reason)",
    "data.skipped": "Skipped (left out on purpose by the mapping)",
    "data.col.rows": "Rows",
    "data.col.outcome": "What became of the row",
    "data.col.share": "Share",
    "data.reasons": "Why rows were quarantined",
    "data.col.reason": "Reason",
    "data.col.meaning": "What it means",
    "data.clean": "No row was quarantined.",
    "data.replay": (
        "`shoal quarantine SHOP` shows examples of each and takes the rows in again once the "
        "mapping is mended."
    ),
    "data.guests": "{events} belong to nobody known (guests); they are stored but no customer’s.",
    **{f"reason.{code}": meaning for code, meaning in REASONS.items()},
    "reason.other": (
        "No explanation is on file for this code; `shoal quarantine SHOP` shows examples."
    ),
    # made
    "made.title": "How this was made",
    "made.version": "Shoal version",
    "made.at": "Report made",
    "made.as_of": "Events before",
    "made.period": "Period of the events",
    "made.zone": "Time zone of hours and days",
    "made.currency": "Currency",
    "made.currency_unknown": "not stated; amounts are shown without a unit",
    "made.currency_none": "the events carry no prices",
    "made.value_event": "What counts as buying",
    "made.table": "Event table version",
    "made.catalog": "Feature catalog",
    "made.seed": "Random seed",
    "made.parameters": "Parameters",
    # caveats
    "caveat.title": "What this report cannot tell",
    "caveat.snapshot": (
        "It shows one moment. Segments age from the day they are made: customers move on, and so "
        "does the shop."
    ),
    "caveat.cause": (
        "Differences between segments describe; they do not prove a cause. To learn what an action "
        "does, try it on some customers and not on others."
    ),
    "caveat.apart": (
        "Segments were formed from the same features that describe them, so they differ in them by "
        "construction. The sizes of the differences rank features; they are not tests."
    ),
    "caveat.short": (
        "The events span only {days}. "
        "Habits that take longer to show, such as seasons, are not in it."
    ),
    "caveat.small": "Some segments are small ({names}); their figures are rough.",
    "caveat.money": "The events carry no prices, so nothing here speaks of money.",
    "caveat.occasions": (
        "Events of kind “{kind}” count as buying here; "
        "those of one customer at one moment are one occasion."
    ),
    "caveat.currency": (
        "The events state no currency; amounts are in whatever unit the source used."
    ),
    "caveat.left_out": "Amounts in other currencies than {currency} are left out: {others}.",
    "caveat.mixed": (
        "The prices are in several currencies ({others}) and were added as if they were one. "
        "Name the shop’s currency in its settings to count that one only."
    ),
    "caveat.categories": "The events carry no categories, so interests are not described.",
    "caveat.hours": "The events carry dates without a time of day, so hours are left out.",
    "caveat.tier": (
        "{share} of the customers are too little known to be placed; shares of segments are of all "
        "customers, these included."
    ),
    "caveat.revenue": (
        "Net revenue is price times quantity, less discounts and refunds, "
        "without tax and shipping. It is not profit."
    ),
    "weekday.0": "Monday",
    "weekday.1": "Tuesday",
    "weekday.2": "Wednesday",
    "weekday.3": "Thursday",
    "weekday.4": "Friday",
    "weekday.5": "Saturday",
    "weekday.6": "Sunday",
    "weekday.short.0": "Mon",
    "weekday.short.1": "Tue",
    "weekday.short.2": "Wed",
    "weekday.short.3": "Thu",
    "weekday.short.4": "Fri",
    "weekday.short.5": "Sat",
    "weekday.short.6": "Sun",
}
