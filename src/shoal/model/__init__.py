"""The behaviour model."""

import os

# Read by torch's OpenMP when torch is loaded. Threads that wait for each other then sleep instead
# of spinning: where other programs have the cores, two spinning threads train four times slower
# than one (measured); where nothing else runs it costs nothing that can be seen.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
