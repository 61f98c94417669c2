"""orthoburst"""
