"""Workers on a Ray cluster: `executor` is what the queue talks to, `link` and `driver` the process between server and
cluster, `runner` what runs on its nodes. Only the last two import Ray.
"""
