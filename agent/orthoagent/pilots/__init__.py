"""``orthoagent scale``: batch jobs that run the worker, as many as the pool's demand asks for.

``plan`` decides (pure), ``demand`` knows what was heard, ``book`` what was submitted, ``announce`` what to say of it,
``scale`` carries it out through a ``scheduler``.
"""
