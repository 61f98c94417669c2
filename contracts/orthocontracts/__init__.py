"""orthocontracts"""
