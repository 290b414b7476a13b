"""A clock that is wrong, for clients in Python: what they call datetime is ahead."""

import datetime
import sys


def skew(seconds, package):
    """Let all modules of a package that import datetime's class read a clock that is ahead."""
    ahead = datetime.timedelta(seconds=seconds)

    class Either(type):
        def __instancecheck__(cls, one):
            return isinstance(one, datetime.datetime)

    class Skewed(datetime.datetime, metaclass=Either):
        @classmethod
        def now(cls, tz=None):
            return datetime.datetime.now(tz) + ahead

        @classmethod
        def utcnow(cls):
            return datetime.datetime.now(datetime.UTC).replace(tzinfo=None) + ahead

    for name, module in list(sys.modules.items()):
        if name.startswith(package) and getattr(module, "datetime", None) is datetime.datetime:
            module.datetime = Skewed
