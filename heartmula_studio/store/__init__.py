"""What is kept on disk."""

from heartmula_studio.store.archives import Unpacked, unpack
from heartmula_studio.store.datasets import TrackAudio
from heartmula_studio.store.incoming import Incoming
from heartmula_studio.store.store import Store

__all__ = ["TrackAudio", "Incoming", "Store", "Unpacked", "unpack"]
