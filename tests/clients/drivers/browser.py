"""Sends calls as Segment's client for browsers does, by its documented form: one a request, as
plain text, the write key in the body; what may pass is sent again. The job is JSON on stdin."""

import json
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta

job = json.load(sys.stdin)
errors = []
AGAIN = {408, 410, 429, 460, 500, 502, 503, 504}


def now():
    moment = datetime.now(UTC) + timedelta(seconds=job["skew"])
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answered(request):
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, 0.0
    except urllib.error.HTTPError as error:
        return error.code, float(error.headers.get("Retry-After") or 0)
    except OSError:
        return 503, 0.0


for call in job["calls"]:
    call.setdefault("timestamp", now())
    for attempt in range(10):
        body = {**call, "writeKey": job["key"], "sentAt": now(), "_metadata": {"bundled": []}}
        told = {"Content-Type": "text/plain", "Origin": "https://shop.example"}
        if attempt:
            told["X-Retry-Count"] = str(attempt)
        request = urllib.request.Request(
            f"{job['host']}/v1/{call['type'][0]}", json.dumps(body).encode(), told
        )
        status, wait = answered(request)
        if status < 400:
            break
        if status not in AGAIN:
            errors.append(str(status))
            break
        time.sleep(wait or min(0.2 * 2**attempt, 15.0))
print(json.dumps({"errors": errors}))
