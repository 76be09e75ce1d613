"""Answers for image files, from a server or from a network on this machine. Import the submodules."""
