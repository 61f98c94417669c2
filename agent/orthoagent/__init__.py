"""The worker: takes released tasks from its pool's queue, runs the kernel on them and reports.

One loop serves the daemon on an HPC node, the pilot under a batch scheduler and the container in the cloud.
Inside: ``session`` decides what happens to one delivery (pure), ``worker`` and ``delivery`` carry it out, ``adapters``
touch storage, the broker and the child process, ``bootstrap`` wires.
"""
