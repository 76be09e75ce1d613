"""A model server for this machine, with TF Serving's interfaces. Import the submodules you need."""
