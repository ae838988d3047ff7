"""The native engine: a library of C, built by the installation, called through ctypes.

It computes on CPUs, without torch. Everything works without it, several times slower; `library`
says whether it is here and why not, `build` compiles it.
"""
