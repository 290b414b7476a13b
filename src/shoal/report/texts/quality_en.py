"""The texts of the quality checks in English: what was found, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

QUALITY_EN: Final[Mapping[str, str]] = {
    "quality.title": "Quality of the data",
    "quality.lead": (
        "Every check on the {events} stored: what is wrong or may be, since when, and what to do."
    ),
    "quality.lead_since": "Only what happened since {since} is told of.",
    "quality.clean": "No check found anything to tell of.",
    "quality.fine": "Nothing to tell of: {checks}.",
    "quality.off": "Switched off: {checks}.",
    "quality.severity.error": "Error",
    "quality.severity.warning": "Warning",
    "quality.severity.note": "Note",
    "quality.severity.ok": "In order",
    "quality.summary": "{errors}, {warnings}, {notes}",
    "noun.error.one": "{n} error",
    "noun.error.many": "{n} errors",
    "noun.warning.one": "{n} warning",
    "noun.warning.many": "{n} warnings",
    "noun.note.one": "{n} note",
    "noun.note.many": "{n} notes",
    "noun.hour.one": "{n}\u00a0hour",
    "noun.hour.many": "{n}\u00a0hours",
    "noun.minute.one": "{n}\u00a0minute",
    "noun.minute.many": "{n}\u00a0minutes",
    "noun.second.one": "{n}\u00a0second",
    "noun.second.many": "{n}\u00a0seconds",
    "noun.source.one": "{n} source",
    "noun.source.many": "{n} sources",
    "noun.visitor.one": "{n} visitor",
    "noun.visitor.many": "{n} visitors",
    "noun.gap.one": "{n} gap",
    "noun.gap.many": "{n} gaps",
    "quality.since": "since {since}",
    "quality.between": "{since} to {until}",
    "quality.example": "Example: {example}",
    "quality.more": "and {n} more of this kind, in the table",
    "quality.findings": "All findings",
    "quality.figure": "Events a day, by source; gaps are marked",
    "quality.figure_note": (
        "Each panel has its own scale. An orange band is a time without events where the source "
        "usually has some."
    ),
    "quality.figure_alt": "Events a day of {sources}, with {gaps} marked.",
    "quality.whole_shop": "whole shop",
    "quality.unnamed": "unnamed source",
    "quality.all_kinds": "events",
    "quality.kind_events": "{kind} events",
    "quality.usual": " At other times it is {usual}.",
    "quality.in_all": " In all {total} of {total_of}.",
    "quality.col.severity": "Severity",
    "quality.col.check": "Check",
    "quality.col.source": "Source",
    "quality.col.found": "Found",
    "quality.col.since": "When",
    "quality.col.example": "Example",
    "quality.col.day": "Day",
    "quality.name.future": "Times ahead",
    "quality.name.early": "Stray early times",
    "quality.name.gap": "Gaps in time",
    "quality.name.change": "Sudden changes",
    "quality.name.missing": "Missing fields",
    "quality.name.unknown": "Unknown customers",
    "quality.name.orders": "Incomplete orders",
    "quality.name.refunds": "Refunds",
    "quality.name.outliers": "Outliers",
    "quality.name.repeated": "Repeated purchases",
    "quality.name.currencies": "Currencies",
    "quality.name.quarantined": "Quarantined rows",
    "quality.name.conflicting": "Conflicting rows",
    "quality.name.duplicate": "Duplicate rows",
    "quality.name.delay": "Delays",
    "quality.name.midnight": "Times of day",
    "quality.name.constant": "Constant fields",
    "quality.name.shared": "Shared ids",
    "quality.name.noise": "Noise",
    "quality.found.future.now": (
        "{count} of {of} events of {source} lie in the future ({share}). The latest event is the "
        "shop’s “now”, so features of everyone are off."
    ),
    "quality.todo.future.now": (
        "Correct the clock or the time zone of the source and ingest the rows again; a wrong "
        "[time] zone or unit in the mapping shifts all times."
    ),
    "quality.found.future.receipt": (
        "{count} of {of} events of {source} are later than their own receipt ({share})."
    ),
    "quality.todo.future.receipt": (
        "Clocks of devices run ahead: map the time that the collector corrected, if it gives one."
    ),
    "quality.found.early": (
        "{count} of {of} events of {source} lie long before all others, which begin on {starts}."
    ),
    "quality.todo.early": (
        "Look whether the source writes a default date where it knows none; skip such rows by a "
        "rule of the mapping."
    ),
    "quality.found.gap.over": (
        "{source}: no event for {length}, where about {expected} are usual."
    ),
    "quality.todo.gap.over": (
        "Ask whether the shop was closed. If not, get the missing export and ingest it: what is "
        "there already does not double."
    ),
    "quality.found.gap.silent": (
        "{source} has been silent for {length}, where about {expected} events are usual."
    ),
    "quality.todo.gap.silent": (
        "See whether the export or the tracker still runs; everyone looks less active meanwhile."
    ),
    "quality.found.gap.ended": "{source} has ended: no event for {length}.",
    "quality.todo.gap.ended": "Nothing, if another source took its place.",
    "quality.found.change.more": (
        "{source}: {factor} times as many {events} as in the weeks before, on {days}: {count} "
        "instead of about {expected}."
    ),
    "quality.todo.change.more": (
        "A sale or a campaign? If not, look whether an export or a tag was set up twice, or "
        "whether robots came."
    ),
    "quality.found.change.fewer": (
        "{source}: {factor} of the {events} of the weeks before, on {days}: {count} instead of "
        "about {expected}."
    ),
    "quality.found.change.none": (
        "{source}: no {events} on {days}, where about {expected} are usual."
    ),
    "quality.todo.change.none": (
        "Ask whether the shop was closed. If not, get the missing export and ingest it: what is "
        "there already does not double."
    ),
    "quality.todo.change.fewer": (
        "If the shop did not change, look whether a tag was lost or a part of the export is "
        "missing."
    ),
    "quality.found.missing": "{count} of {of} {kind} events of {source} have no {field} ({share}).",
    "quality.todo.missing": (
        "Look at the example in the source: was the field renamed there? Mend the mapping, or the "
        "tag that sends it."
    ),
    "quality.found.missing.absent": "{kind} events of {source} never have {fields}.",
    "quality.todo.missing.absent": (
        "If the files hold it under another name, map it; else features that need it stay empty."
    ),
    "quality.found.missing.free": (
        "{count} of {of} purchases of {source} have the price 0 ({share})."
    ),
    "quality.todo.missing.free": (
        "Gifts and corrections are fine. Else the price was lost on the way: it counts as revenue "
        "of nothing."
    ),
    "quality.found.unknown.nobody": (
        "{count} of {of} events of {source} name neither a customer nor a visitor ({share})."
    ),
    "quality.todo.unknown.nobody": (
        "They count for nobody. See whether the source has a cookie or device id that can be "
        "mapped to anonymous_id."
    ),
    "quality.found.unknown.purchases": (
        "{count} of {of} purchases of {source} name no customer ({share})."
    ),
    "quality.todo.unknown.purchases": (
        "Orders of guests count for no segment. An e-mail address or loyalty card as customer_id "
        "would bring them back."
    ),
    "quality.found.orders.no_item": "{count} of {of} orders of {source} name no item ({share}).",
    "quality.todo.orders.no_item": "See whether lines of orders are exported with their heads.",
    "quality.found.orders.no_price": "{count} of {of} orders of {source} have no price ({share}).",
    "quality.todo.orders.no_price": "Such orders bring no revenue: map the amount of the line.",
    "quality.found.orders.unexplained": (
        "The lines of {count} of {of} orders of {source} do not come to what the order says "
        "({share}), {money} in all."
    ),
    "quality.todo.orders.unexplained": (
        "See whether the export has the columns of quantity, discount, tax, shipping and fees; the "
        "difference of an order is in the properties of its first event, as unexplained."
    ),
    "quality.found.refunds.beyond": (
        "{count} of {of} refunded orders of {source} got back more than they cost, {money} in all."
    ),
    "quality.todo.refunds.beyond": (
        "Look whether refunds are exported twice, or in another currency or unit than orders."
    ),
    "quality.found.refunds.unknown": (
        "{count} of {of} refunded orders of {source} are no orders that the shop knows."
    ),
    "quality.todo.refunds.unknown": (
        "They lower revenue all the same. If refunds carry ids of their own, map the id of the "
        "order they belong to; else the orders lie before the first export."
    ),
    "quality.found.outliers": (
        "{count} of {of} purchases of {source} have a {field} more than {z} robust standard "
        "deviations off the usual of their category or source; the furthest is {worst}, where "
        "{usual} is usual. They hold {money_share} of the money."
    ),
    "quality.todo.outliers": (
        "Look at the example: cents taken for units, a bulk order, or a typing error? Money of "
        "outliers moves averages and segments."
    ),
    "quality.found.repeated": (
        "{count} of {of} purchases of {source} repeat another in all but their id ({share})."
    ),
    "quality.found.repeated.orders": (
        "{count} of {of} orders of several lines of {source} are stored twice, line by line "
        "({share})."
    ),
    "quality.found.repeated.again": (
        "{count} of {of} orders of {source} are told again at another time with the same lines "
        "({share}); the later tellings come to {money}."
    ),
    "quality.todo.repeated.again": (
        "They count each time. Have the source send each purchase once (a thank-you page loaded "
        "again, a client and a server that both send), or name the shop system as the source whose "
        "orders count, [shop] order_sources."
    ),
    "quality.todo.repeated": (
        "They count twice. If an export makes new ids each time, name the columns of a lasting id "
        "as event_id in the mapping."
    ),
    "quality.found.currencies.several": (
        "Amounts of {source} are in several currencies: {amounts}."
    ),
    "quality.todo.currencies.several": (
        "Give a table of rates (shoal rates SHOP FILE): without it only the main currency counts."
    ),
    "quality.found.currencies.unstated": (
        "{count} of {of} amounts of {source} state no currency ({share})."
    ),
    "quality.todo.currencies.unstated": "Name the source’s currency in its mapping.",
    "quality.found.quarantined": (
        "{count} of {of} rows of {source} could not become events ({share}): {reason}."
    ),
    "quality.todo.quarantined": (
        "See them with shoal quarantine SHOP; mend the mapping and try them again with --replay."
    ),
    "quality.found.conflicting": (
        "{count} of {of} rows of {source} have the id of another event and other content "
        "({share}); one of each was kept."
    ),
    "quality.todo.conflicting": (
        "If rows are edited in the source, let the mapping say what restates them; if ids repeat, "
        "choose more columns as event_id."
    ),
    "quality.found.duplicate": (
        "{count} of {of} rows of {source} came more than once and count once ({share})."
    ),
    "quality.todo.duplicate": "Nothing: overlapping exports do no harm.",
    "quality.found.delay": (
        "Events of {source} arrive after {p50} (half of them), {p95} (95 %), {p99} (99 %), at the "
        "latest {longest}."
    ),
    "quality.todo.delay": (
        "Late events change the past a little each day. Ingest again after the longest usual delay."
    ),
    "quality.found.midnight.dates": "Times of {source} are dates without a time of day.",
    "quality.todo.midnight.dates": (
        "Hours and visits say nothing for this source. If it has a time as well, map that."
    ),
    "quality.found.midnight.some": (
        "{count} of {of} events of {source} lie at midnight sharp ({share}), the others do not."
    ),
    "quality.todo.midnight.some": "Some rows lost their time of day: look where they come from.",
    "quality.found.constant": "{source}: {values} in every event that has it.",
    "quality.todo.constant": (
        "A field that never changes tells nothing; if it should, the mapping takes the wrong "
        "column or the source writes a default."
    ),
    "quality.found.shared.devices": (
        "Customer {subject} was seen on {count} devices; up to {limit} are plausible."
    ),
    "quality.todo.shared.devices": (
        "Probably an account of the shop’s own, or a default id. Look at shoal identity SHOP ID."
    ),
    "quality.found.shared.people": "{count} customers signed in on device {subject}.",
    "quality.todo.shared.people": (
        "A till or a shared computer: what happens on it without a sign-in belongs to nobody."
    ),
    "quality.found.shared.events": ("The id {subject} has {count} of all {of} events ({share})."),
    "quality.todo.shared.events": (
        "No customer does so much: a default id or a robot. Leave it out by a rule of the mapping."
    ),
    "quality.found.noise.rows": (
        "{count} of {of} events of {source} are left out ({share}): {rule}."
    ),
    "quality.found.noise.rows_off": (
        "{count} of {of} events of {source} count although the rule is off ({share}): {rule}."
    ),
    "quality.found.noise.pace": (
        "{count} of {of} events, of {visitors}, are left out: too fast for people."
    ),
    "quality.todo.noise": (
        "See them with shoal noise SHOP; rules are switched in [noise] of shop.toml."
    ),
    "quality.rule.agent": "the agent string is that of a robot",
    "quality.rule.address": "the address is one of the shop’s own",
    "quality.rule.test_order": "the source says that the order is a test",
    "quality.rule.staff_order": "the source says that the order is a member of staff’s",
    "quality.rule.rate": "more in an hour than a person does",
    "quality.rule.no_think_time": "long runs with no time to look between",
}
