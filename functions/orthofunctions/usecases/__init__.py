"""What the system does, one use case a module, over the ports only."""
