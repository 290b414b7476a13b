"""A configuration as the `shop.toml` that says it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.config import Config


def render(config: Config) -> str:
    """The `shop.toml` of a configuration, with a comment a setting."""
    shop, features, segment, model = config.shop, config.features, config.segment, config.model
    identity, noise, quality = config.identity, config.noise, config.quality
    privacy = config.privacy
    adjust, collection = config.adjust, config.collection
    service = config.service
    traits = _listed(features.traits)
    return f"""\
# A Shoal shop. Flags win over this file. See docs/concepts/shop.md.

[shop]
version = {shop.version}
# IANA name; hours, weekdays and windows of days are those of this zone. Fixed at init.
time_zone = "{shop.time_zone}"
# ISO 4217; empty: the currency of the first events that carry one.
currency = "{shop.currency}"
# The kind of event that counts as buying; empty: what the first source declares.
value_event = "{shop.value_event}"
# Sources that tell of orders, for example ["shopify-orders"]; purchases and refunds of the others
# are then the same orders told once more and do not count. Empty: every source counts.
order_sources = [{_listed(shop.order_sources)}]
# Partitions of the event table, by hash of the customer. Fixed at init.
buckets = {shop.buckets}
# How many last events a customer's state keeps whole.
tail_events = {shop.tail_events}

[table]
# Days for which a version of the event table can be read after a later one took its place; then
# what only it needs is removed. 0: for ever.
keep_days = {config.table.keep_days}

[features]
# Traits of profile events that become features, for example ["plan", "age"].
traits = [{traits}]
# Columns of outside data that become features: ["weather.rain", "calendar.*"].
covariates = [{_listed(features.covariates)}]

[segment]
# 0: choose k between k_min and k_max.
k = {segment.k}
k_min = {segment.k_min}
k_max = {segment.k_max}
# Customers with fewer events are too little known to place.
min_events = {segment.min_events}
# A customer changes to another segment only if that one weighs more by more than this.
switch_margin = {segment.switch_margin}
# Traits and features that nothing is learned from.
protected = [{_listed(segment.protected)}]
seed = {segment.seed}

[model]
# nano, laptop, base or large; backbone empty and minutes 0 are the recipe's.
recipe = "{model.recipe}"
backbone = "{model.backbone}"
# ngrams (trained with the model), or the name or path of a sentence encoder.
text = {_text(model.text)}
minutes = {model.minutes}
seed = {model.seed}

[identity]
# An anonymous id on which more customers than this signed in is shared: it belongs to nobody.
shared_by = {identity.shared_by}

[noise]
# Rules that are on; what they catch is stored and counted, and left out of features.
rules = [{_listed(noise.rules)}]
# Parts of agent strings of robots, beside the known ones; own addresses and networks.
agents = [{_listed(noise.agents)}]
addresses = [{_listed(noise.addresses)}]
# Seconds of an hour, each with browsing, beyond which no person goes.
rate_events = {noise.rate_events}
# So many browsing events in a row, each within so many seconds of the one before.
run_events = {noise.run_events}
think_seconds = {noise.think_seconds}

[privacy]
# Ids of customers and visitors are stored as keyed hashes (SHOAL_PSEUDONYM_KEY). Fixed once events
# are stored. ids: traits and properties whose values are ids too.
pseudonymise = {json.dumps(privacy.pseudonymise)}
ids = [{_listed(privacy.ids)}]
# Traits and properties that are encrypted (SHOAL_FIELD_KEYS), for example ["email", "phone"].
personal = [{_listed(privacy.personal)}]

[quality]
# Checks that are off; their codes stand in docs/concepts/quality.md.
off = [{_listed(quality.off)}]
# Shares from which `shoal quality` warns, and from which it calls an error.
missing_warning = {quality.missing_warning}
missing_error = {quality.missing_error}
unknown_warning = {quality.unknown_warning}
unknown_error = {quality.unknown_error}
quarantined_warning = {quality.quarantined_warning}
quarantined_error = {quality.quarantined_error}
conflicting_warning = {quality.conflicting_warning}
conflicting_error = {quality.conflicting_error}
orders_warning = {quality.orders_warning}
orders_error = {quality.orders_error}
future_error = {quality.future_error}
noise_warning = {quality.noise_warning}
noise_error = {quality.noise_error}
# Robust standard deviations (log scale) of an outlier; the share of money outliers may hold.
outlier_z = {quality.outlier_z}
outlier_money = {quality.outlier_money}
# How often a shop without fault may raise an alarm about gaps or about changes of rate.
false_alarms = {quality.false_alarms}
# Daily events against the same weekday before: a smaller change is none, a greater one an error.
change_factor = {quality.change_factor}
change_error = {quality.change_error}
# Hours of silence against its habit that make a source an error; days after which it has ended.
gap_error_hours = {quality.gap_error_hours}
ended_days = {quality.ended_days}
# Hours that one event in twenty may be late.
delay_hours = {quality.delay_hours}
# Devices of one customer, and events of one id (a share of all), beyond which an id is suspect.
devices = {quality.devices}
one_id_share = {quality.one_id_share}

[adjust]
# Days from one look for drift to the next, and from one challenger to the next.
cadence_days = {adjust.cadence_days}
challenger_days = {adjust.challenger_days}
# Days in which what segments learned of a customer loses half its weight.
half_life_days = {adjust.half_life_days}
# Share of customers that adjustments may move in 30 days without a person's word.
relabel_budget = {adjust.relabel_budget}
# Gain, as a share of the loss within segments, that moving everybody would have to bring.
relabel_price = {adjust.relabel_price}
# By how much longer the log has to be than what segments were learned from (a share) for making all
# anew to be due: they then only have to be better; 0: never by itself.
refit_growth = {adjust.refit_growth}
# Alarms expected in a year in which nothing changes, of all monitors together.
false_alarms = {adjust.false_alarms}
# New events (share of those trained on) and days after which the behaviour model is trained on;
# 0: never by itself.
retrain_growth = {adjust.retrain_growth}
retrain_days = {adjust.retrain_days}
# Gates: greatest share of one segment, unless it is no larger than the largest before by so much;
# least share of active customers with a segment.
largest = {adjust.largest}
larger_by = {adjust.larger_by}
assigned = {adjust.assigned}
# A person approves beyond this population stability index of sizes, and this share moved.
psi = {adjust.psi}
moved = {adjust.moved}
# Share of customers for whom segments made anew are in force first, and for how many days; then
# they are judged on these customers, and are in force for all or for nobody. 0: for all at once.
canary_share = {adjust.canary_share}
canary_days = {adjust.canary_days}

[service]
# Requests of one key to the API in a second, and how many may come at once; 0 a second: no limit.
key_per_second = {service.key_per_second}
key_burst = {service.key_burst}
# Requests without a valid key, of one address.
refused_per_second = {service.refused_per_second}
refused_burst = {service.refused_burst}
# Requests of one source to collection.
collect_per_second = {service.collect_per_second}
collect_burst = {service.collect_burst}
# Bytes of a request to the API.
body_bytes = {service.body_bytes}
# Days for which entries of the audit log are kept; 0: for ever.
audit_days = {service.audit_days}

[collection]
# MiB of bodies in flight, all together; of one bulk import once it is expanded; KiB of one line.
in_flight_mib = {collection.in_flight_mib}
import_mib = {collection.import_mib}
line_kib = {collection.line_kib}
# Calls in the inbox beyond which imports and followed files wait.
waiting_calls = {collection.waiting_calls}

[webhooks]
# Hosts of your own network that webhooks may go to, also by plain http.
trusted_hosts = [{_listed(config.webhooks.trusted_hosts)}]

[store]
# The schema of a PostgreSQL database that holds what changes with every event, and the database
# (postgresql://USER@HOST/DATABASE, or SHOAL_STORE_URL). Empty: SQLite files of this directory.
namespace = "{config.store.namespace}"
url = {_text(config.store.url)}
"""


def _listed(texts: tuple[str, ...]) -> str:
    return ", ".join(f'"{text}"' for text in texts)


def _text(value: str) -> str:
    """A TOML string; a path may hold backslashes and quotation marks."""
    return json.dumps(value, ensure_ascii=False)
