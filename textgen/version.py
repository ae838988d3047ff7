"""The version of textgen."""

__version__ = "0.1.0"

#: What to do where a file needs a newer version. No command of pip: it differs by how this one came
#: here, and on package indexes the name `textgen` is that of another project.
UPGRADE = "install a newer textgen, in the same way as this one (in a clone: git pull)"
