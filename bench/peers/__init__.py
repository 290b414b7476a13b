"""The peers: other people's ways to segment customers, each behind one small face.

`make(name)` gives a fresh peer, `NAMES` holds all names, `SPECS` what is known of each before it is
made. See `bench.peers.base` for the face and `bench.peers.registry` for the list.
"""

from bench.peers.base import Inputs, Peer, Spec, inputs_of
from bench.peers.registry import NAMES, SPECS, make

__all__ = ["NAMES", "SPECS", "Inputs", "Peer", "Spec", "inputs_of", "make"]
