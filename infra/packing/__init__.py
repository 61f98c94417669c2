"""What the deployable packages are made of: parts of the one lock, their bill of materials, the functions' folder.

The standard library alone, so that an image's first stage can run it before anything is installed.
"""
