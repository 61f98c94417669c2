"""What runs orthoburst on one machine: servers, functions host, scene simulator, demo and benches."""
