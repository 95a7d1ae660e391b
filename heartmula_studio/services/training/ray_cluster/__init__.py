"""Workers on a Ray cluster: `executor` is what the queue talks to, `link` and `driver` the process between server and
cluster, `runner` what runs on its nodes, `spread` what trains there in several processes. Ray is imported by `driver`
and `spread` alone, which are programs.
"""
