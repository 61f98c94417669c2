"""The dashboard as code: ``python -m grafana.dashboard`` writes ``dashboards/orthoburst.json``."""
