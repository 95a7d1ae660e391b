"""HeartMuLa Training Studio: fine-tune the open music language model HeartMuLa on your own songs."""

__version__ = "0.1.0"
