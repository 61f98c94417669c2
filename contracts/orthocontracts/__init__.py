"""The words all parts of orthoburst share.

Requests, outputs, tasks and their states, tickets, messages, the names of queues, containers, tables and topics,
product names and manifests, the tile grid, digests. Pydantic and pure Python only: whoever imports this pays for
nothing else. Import the module that holds the word you need.
"""
