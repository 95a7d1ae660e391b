"""Tokenizing a catalogue by many workers: processes of this machine, or tasks on a Ray cluster."""
