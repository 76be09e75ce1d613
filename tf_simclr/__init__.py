"""SimCLRv2 in TensorFlow: networks, losses, loops. Import the submodules you need."""

__version__ = "0.1.0"
