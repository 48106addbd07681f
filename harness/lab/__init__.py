"""The embedded lab: a five-node ClusterHAT cluster on one Linux machine, from namespaces and systemd-nspawn.

::

    from harness.lab import Lab

    lab = Lab()                      # named by HATCHECK_LAB, else hatlab
    lab.up(say=print)                # five bare nodes whose sshd answers; bare=False: a green cluster
    lab.exec("p1", ["hostname"]).stdout
    lab.access()                     # address, user, password, known_hosts
    lab.down()                       # nothing is left but the cache
"""

from harness.lab.lab import Access, Lab, LabStatus, NodeStatus
from harness.lab.layout import NODES, PORTS, address_of

__all__ = ["NODES", "PORTS", "Access", "Lab", "LabStatus", "NodeStatus", "address_of"]
