"""Sends calls with rudder-sdk-python; the job is JSON on stdin."""

import json
import sys

from rudderstack.analytics.client import Client
from skewed import skew

job = json.load(sys.stdin)
if job["skew"]:
    skew(job["skew"], "rudderstack.analytics")
errors = []
client = Client(
    job["key"], host=job["host"], gzip=job["gzip"], max_retries=job["retries"], upload_interval=0.1,
    on_error=lambda error, items: errors.append(str(error)),
)  # fmt: skip
names = {"userId": "user_id", "anonymousId": "anonymous_id", "messageId": "message_id",
         "previousId": "previous_id", "groupId": "group_id"}  # fmt: skip
for call in job["calls"]:
    send = getattr(client, call.pop("type"))
    send(**{names.get(name, name): value for name, value in call.items()})
client.flush()
client.join()
print(json.dumps({"errors": errors}))
