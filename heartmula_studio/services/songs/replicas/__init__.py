"""Songs by replicas of the engine on a Ray cluster: `engine` is what queue and maker talk to, `driver` a process
between server and cluster, `replica` what runs on the nodes as a deployment of Ray Serve; `orders` is what goes to and
fro. Only `driver` and `replica` import Ray.
"""
