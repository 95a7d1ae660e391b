"""HeartMuLa Training Studio: fine-tune the open music language model HeartMuLa on your own songs."""

import os

# PyTorch reads it when it is imported: what Apple's GPUs cannot do is then done by the CPU, and named in a warning.
os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")

__version__ = "0.1.0"
