"""Its `application` can not be called."""

application = 42
