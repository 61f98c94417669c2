"""``orthoagent watch``: products that come into a folder of the site are announced, and stay there."""
