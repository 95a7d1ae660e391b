"""Whether the longest tests run: those marked `long`, and others at their full length."""

import os

HAS_TIME = os.environ.get("HEARTMULA_LONG_TESTS") == "1"
