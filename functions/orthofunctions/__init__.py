"""orthofunctions"""
