"""A base whose codec is made of tones and noise. It is not bundled yet: see `recipes/nano/README.md`."""
