"""orthoagent"""
