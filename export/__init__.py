"""SavedModels: what a stage leaves behind, and what is made of it. Import the submodules you need."""
