"""Texts on what moved, who went quiet, who comes back and how looking becomes buying: English."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

STORY_EN: Final[Mapping[str, str]] = {
    "punct.between": " ",
    "worth.orders": "{n} {what}",
    # what to look at
    "look.title": "What moved, and what to look at",
    "look.moved": "Since {day}",
    "look.first": "What to look at",
    "look.none": "Nothing stands out against the rest of the shop or the time before.",
    "look.see": "See “{section}”.",
    "moved.known": "{customers} are known now, {new} of them new since {day}.",
    "moved.active": (
        "{now} were active in these {days}, against {then} in the {days} before ({change})."
    ),
    "moved.worth": "They brought {now}, against {then} in the {days} before ({change}).",
    "moved.changed": (
        "Of {kept} in a segment at both dates, {changed} ({share}) are in another one now."
    ),
    "moved.changed_before": "In the {days} before it was {changed} of {kept} ({share}).",
    "moved.placed": "Placed since, though too little known then: {placed}.",
    "moved.gain": "Most gained from other segments: {name}; {joined} came, {left} went.",
    "moved.loss": "Most lost to other segments: {name}; {left} went, {joined} came.",
    "moved.gone": (
        "No longer customers of their own, since they became one with another or were forgotten: "
        "{gone}."
    ),
    "look.quality": (
        "The checks of the data found {errors}; figures that rest on that data may be wrong."
    ),
    "look.quarantined": "{bad} of the {rows} read ({share}) could not be used.",
    "look.quiet": (
        "{customers} with a habit of ordering have gone quiet for longer than is usual for them. "
        "They brought {worth} in the last {days}, {share} of all {what}."
    ),
    "look.quiet_most": "The largest part, {worth}, came from {name}.",
    "look.worth": (
        "The customers of {name} brought {now} in the {days} since {day}; those it had then "
        "brought {then} in the {days} before ({change}; all customers together: {whole})."
    ),
    "look.flow": (
        "{customers} went from {source} to {target}: {share} of those who were in {source}."
    ),
    "look.funnel": (
        "{name} looks and seldom goes on: {step} on {share} of its days with a view, "
        "against {all} of all customers’."
    ),
    "look.return": (
        "Of {customers} who came first in {period}, {share} came back in the next {unit}; "
        "of those of the {n} before it was {mean}. The difference is beyond chance."
    ),
    # moves
    "moves.title": "Movement between segments",
    "moves.lead": (
        "Today’s segments, applied to what was known on {day} ({days} before the end) "
        "and to what is known now."
    ),
    "moves.foreknown": (
        "The segments were learned from events up to the end, so on {day} they knew what was still "
        "to come: this shows how customers moved through today’s segments, not what a report of "
        "that day would have shown."
    ),
    "moves.figure": "Customers by segment on {day} and now",
    "moves.alt": (
        "Flow diagram of customers by segment on {day} and now. Of {kept} in a segment at both "
        "dates, {changed} changed; the largest change is {n} from {source} to {target}."
    ),
    "moves.alt_none": (
        "Flow diagram of customers by segment on {day} and now. "
        "Nobody in a segment at both dates changed."
    ),
    "moves.now": "Now",
    "moves.unknown": "Not yet known",
    "moves.gone": "Merged or forgotten",
    "moves.others": "Other segments",
    "moves.stayed": "{name}: {customers} stayed",
    "moves.went": "{source} → {target}: {customers}",
    "moves.from": "From",
    "moves.to": "To",
    "moves.share": "Share of those in it then",
    "moves.rest": "All other moves",
    "moves.standings": "Each segment then and now",
    "moves.col.then": "Customers then",
    "moves.col.stayed": "Stayed",
    "moves.col.joined": "Came from others",
    "moves.col.new": "New",
    "moves.col.left": "Went to others",
    "moves.col.gone": "Merged or forgotten",
    "moves.col.now": "Customers now",
    "moves.col.worth_then": "{what} before",
    "moves.col.worth_now": "{what} since",
    "moves.col.change": "Change",
    "moves.all": "All",
    "moves.note": (
        "Customers now are those then, and those who came and are new, without those who went. "
        "“Before” is what those in the segment then brought in the {days} before {day}, "
        "“since” is what those in it now brought in the {days} after. The two lie in different "
        "seasons: what holds for all alike may be the season’s."
    ),
    "moves.not_whole": (
        "The log holds less than {days} before {day}, so what was brought does not compare."
    ),
    "absent.moves.short": (
        "The log is too short to compare with an earlier date; that needs eight days."
    ),
    "absent.moves.older": (
        "The segments were made with other definitions of features than today’s and cannot be "
        "applied to an earlier date. `shoal segment SHOP` makes them anew."
    ),
    "absent.moves.nobody": "No customer was known yet at the earlier date.",
    # gone quiet
    "stake.title": "Customers gone quiet",
    "stake.lead": (
        "Who counts: orders on at least {order_days} different days, and a silence of more than "
        "{factor} times the customer’s own usual gap between such days, {silent} at least. Where "
        "orders come at random, an active customer is silent for so long about once in {chance} "
        "times."
    ),
    "stake.sum": (
        "{customers} of the {habitual} with such a habit are quiet and brought something in the "
        "last {days}: {worth}, {share} of all {what} in that time."
    ),
    "stake.none": "None of the {habitual} with such a habit is quiet for so long.",
    "stake.figure": "{what} of the last {days} from customers now quiet",
    "stake.alt": (
        "Bar chart of what customers now quiet brought, by segment. The most, {worth}, came from "
        "{name}."
    ),
    "stake.foremost": "The quiet customers who brought most",
    "stake.silent": "Days since the last order",
    "stake.usual": "Usual days between orders",
    "stake.worth": "{what}, last {days}",
    "absent.stake.no_habit": (
        "No customer has ordered on three different days yet, so none has a habit to fall silent "
        "from."
    ),
    # cohorts
    "cohorts.title": "Who comes back",
    "cohorts.lead_orders": (
        "Each row holds the customers who first ordered in one {unit}; each cell says what share "
        "of them ordered again in a later {unit}."
    ),
    "cohorts.lead_events": (
        "Each row holds the customers first seen in one {unit}; each cell says what share of them "
        "was active in a later {unit}."
    ),
    "cohorts.unit.week": "week",
    "cohorts.unit.month": "month",
    "cohorts.unit.quarter": "quarter",
    "cohorts.after.week": "Weeks later",
    "cohorts.after.month": "Months later",
    "cohorts.after.quarter": "Quarters later",
    "cohorts.first.week": "First week, from",
    "cohorts.first.month": "First month",
    "cohorts.first.quarter": "First quarter",
    "cohorts.all": "All",
    "cohorts.begun": (
        "The log begins on {day}: the first rows hold older customers as well, who only seem new."
    ),
    "cohorts.unfinished": "The current {unit} is not over; its cells have a dashed frame.",
    "cohorts.left_out": "{n} older rows are left out; “All” does not count them.",
    "cohorts.all_note": (
        "“All” takes every row that has reached that age; what is not over is left out."
    ),
    "cohorts.figure": "Share who ordered again, by the time of the first order",
    "cohorts.figure_events": "Share active again, by the time of the first event",
    "cohorts.alt": (
        "Heat map of the share of customers active again in each later {unit}. Of all customers, "
        "{share} came back in the {unit} after their first."
    ),
    "cohorts.alt_none": "Heat map of the share of customers active again in each later {unit}.",
    "cohorts.cell": "{first}, {after}: {share} ({n} of {size})",
    "absent.cohorts.short": "The log is too short to show who comes back.",
    # funnel
    "funnel.title": "From looking to buying",
    "funnel.lead": (
        "Of all days on which a customer was active, the share with at least one of each step. A "
        "day is one customer’s day and not a session, because orders often come from another "
        "source than views; the steps need not follow one another."
    ),
    "funnel.step.view": "Viewed an item",
    "funnel.step.cart_add": "Put into the cart",
    "funnel.step.checkout": "Began to check out",
    "funnel.step.purchase": "Bought",
    "funnel.step.review": "Reviewed",
    "funnel.step.other": "“{kind}”",
    "funnel.alt": (
        "Bar chart of the steps on active days of {whose}. {first}: {share_first}; {last}: "
        "{share_last}."
    ),
    "funnel.whole": "all customers",
    "funnel.col.step": "Step",
    "funnel.col.days": "Active days",
    "funnel.col.share": "Share of active days",
    "funnel.col.customers": "Customers",
    "funnel.col.customer_share": "Share of customers",
    "funnel.col.conversion": "{step} on days with a view",
    "funnel.by_segment": "By segment",
    # features
    "heat.title": "Segments by feature",
    "heat.lead": (
        "How far each segment lies from all other placed customers, in standard deviations "
        "(Cohen’s d): blue is higher, vermilion lower. Typical values stand in the table."
    ),
    "heat.figure": "Difference from all other placed customers",
    "heat.alt": (
        "Heat map of features by segment. The greatest difference: {label} in {name}, {size} "
        "standard deviations."
    ),
    "heat.values": "Typical values: medians, or means where medians do not differ (marked *)",
    "absent.features.older": (
        "The segments were made by an older version, which kept no differences. "
        "`shoal segment SHOP` makes them anew."
    ),
    # one segment
    "profile.moved_title": "Since {day}",
    "profile.moved": (
        "{then} then, {now} now: {joined} came from other segments, {new} were not yet known, "
        "{left} went to other segments."
    ),
    "profile.moved_from": "Most came from {name}: {n}.",
    "profile.moved_to": "Most went to {name}: {n}.",
    "profile.moved_before": "Another {days} earlier it held {customers}.",
    "profile.moved_worth": (
        "Its customers brought {now} in the {days} since; those it had then brought {then} in the "
        "{days} before ({change})."
    ),
    "profile.trend": "Its members over time",
    "profile.trend_note": (
        "What those now in the segment did in each stretch of {days}, also before they joined it."
    ),
    "profile.trend_alt": (
        "Line chart over time of the activity of the customers now in {name}. {what}: {last} in "
        "the last stretch; the highest value, {peak}, is of the stretch from {day}."
    ),
    "profile.funnel": "From looking to buying",
    "profile.funnel_note": "Share of active days with each step.",
    "made.since": "Compared with",
    "made.since_told": "{day}, as told",
    "made.since_chosen": "{day}, by the length of the log",
}
