"""The ports over Azure Storage queues, blobs and tables, and MQTT."""
