"""orthokernel"""
