"""The one place where foreign weights are translated: adapters of other programs, read and written.

`naming` and `parts` are the tables of names, `layers` the mathematics of each kind, `reading` turns tensors and
settings into layers of the base, `peft` writes these in PEFT's format, `exporting` in the others', `merging` into full
weights. What is stored and played is always PEFT's own layout.
"""
