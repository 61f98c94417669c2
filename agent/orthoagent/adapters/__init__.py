"""What touches the world: storage, HTTP, the broker, processes."""
