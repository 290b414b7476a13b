"""The service under load: requests a second, time to an answer, time to a visible membership."""
