"""Kernels on raw arrays, by backend. They compute and never know that there is a graph; none imports gradengine."""
