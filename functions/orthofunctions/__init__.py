"""The serverless half: what plans, releases, collects and answers.

``domain`` is pure; ``usecases`` decide with it over ``ports``; ``triggers`` and ``api`` are the doors; ``adapters``
implement the ports over Azure Storage and MQTT; ``bootstrap`` wires them. Nothing here connects at import.
"""
