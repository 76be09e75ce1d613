"""Google's released SimCLR and SimCLRv2 networks as networks of this project."""
